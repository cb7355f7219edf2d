//! A reader of TensorBoard's event files, written from the documented format alone. It gives what TensorBoard would show.

use crate::workshop::names;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What TensorBoard shows: values by tag and step, with each step once.
#[derive(Debug, Default, PartialEq)]
pub struct Shown {
    pub scalars: BTreeMap<String, BTreeMap<u64, f32>>,
    pub texts: BTreeMap<String, BTreeMap<u64, String>>,
    pub histograms: BTreeMap<String, BTreeMap<u64, Histogram>>,
}

#[derive(Debug, PartialEq)]
pub struct Histogram {
    /// min, max, num, sum, sum of squares.
    pub numbers: [f64; 5],
    pub limits: Vec<f64>,
    pub counts: Vec<f64>,
}

/// Reads a folder of event files in the order of their names. An incomplete record ends its file.
pub fn shown(folder: &Path) -> Shown {
    let mut shown = Shown::default();
    for name in names(folder) {
        assert!(name.starts_with("events.out.tfevents."), "{name}");
        for (number, event) in records(&fs::read(folder.join(name)).unwrap()).into_iter().enumerate() {
            shown.take(number, &Fields::of(&event));
        }
    }
    shown
}

impl Shown {
    fn take(&mut self, number: usize, event: &Fields) {
        assert!(event.number(1) > 1.6e9, "the time of an event is in seconds since 1970");
        if number == 0 {
            assert_eq!(event.text(3), "brain.Event:2");
            return;
        }
        let step = event.integer(2);
        if let Some(session) = event.message(7) {
            assert_eq!((number, session.integer(1)), (1, 1), "a session starts with its file");
            retain(&mut self.scalars, step);
            retain(&mut self.texts, step);
            retain(&mut self.histograms, step);
        }
        let Some(summary) = event.message(5) else { return };
        for value in summary.all(1) {
            let value = Fields::of(value);
            let tag = value.text(1).to_string();
            let twice = if let Some(histogram) = value.message(5) {
                self.histograms.entry(tag).or_default().insert(step, Histogram::of(&histogram)).is_some()
            } else if let Some(tensor) = value.message(8) {
                let plugin = value.message(9).unwrap().message(1).unwrap();
                assert_eq!((plugin.text(1), tensor.integer(1)), ("text", 7));
                self.texts.entry(tag).or_default().insert(step, tensor.text(8).into()).is_some()
            } else {
                self.scalars.entry(tag).or_default().insert(step, value.float(2)).is_some()
            };
            assert!(!twice, "step {step} is shown twice");
        }
    }
}

/// TensorBoard's rule for the start of a session: what was shown for its step and later steps is dropped.
fn retain<T>(shown: &mut BTreeMap<String, BTreeMap<u64, T>>, start: u64) {
    shown.values_mut().for_each(|steps| steps.retain(|&step, _| step < start));
}

impl Histogram {
    fn of(fields: &Fields) -> Histogram {
        let doubles = |field| {
            let (chunks, rest) = fields.bytes(field).as_chunks::<8>();
            assert!(rest.is_empty());
            chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect()
        };
        Histogram { numbers: [1, 2, 3, 4, 5].map(|field| fields.number(field)), limits: doubles(6), counts: doubles(7) }
    }
}

/// The data of TFRecords; it checks their checksums.
fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some((length, rest)) = bytes.split_at_checked(8) {
        let size = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let Some((checksum, rest)) = rest.split_at_checked(4) else { break };
        assert_eq!(checksum, masked_crc(length), "the checksum of a length");
        let Some((data, rest)) = rest.split_at_checked(size) else { break };
        let Some((checksum, rest)) = rest.split_at_checked(4) else { break };
        assert_eq!(checksum, masked_crc(data), "the checksum of a record");
        records.push(data.to_vec());
        bytes = rest;
    }
    records
}

/// CRC-32C bit by bit, rotated and shifted as TFRecord has it.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The fields of a protocol buffer.
struct Fields(Vec<(u64, Vec<u8>)>);

impl Fields {
    fn of(mut bytes: &[u8]) -> Fields {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = match key & 7 {
                0 => varint(&mut bytes).to_le_bytes().to_vec(),
                1 => take(&mut bytes, 8),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    take(&mut bytes, length)
                }
                5 => take(&mut bytes, 4),
                wire => panic!("wire type {wire}"),
            };
            fields.push((key >> 3, value));
        }
        Fields(fields)
    }

    fn all(&self, field: u64) -> impl Iterator<Item = &Vec<u8>> {
        self.0.iter().filter(move |(number, _)| *number == field).map(|(_, value)| value)
    }

    fn bytes(&self, field: u64) -> &[u8] {
        self.all(field).next().unwrap_or_else(|| panic!("no field {field}"))
    }

    fn text(&self, field: u64) -> &str {
        std::str::from_utf8(self.bytes(field)).unwrap()
    }

    fn integer(&self, field: u64) -> u64 {
        u64::from_le_bytes(self.bytes(field).try_into().unwrap())
    }

    fn number(&self, field: u64) -> f64 {
        f64::from_le_bytes(self.bytes(field).try_into().unwrap())
    }

    fn float(&self, field: u64) -> f32 {
        f32::from_le_bytes(self.bytes(field).try_into().unwrap())
    }

    fn message(&self, field: u64) -> Option<Fields> {
        self.all(field).next().map(|bytes| Fields::of(bytes))
    }
}

fn take(bytes: &mut &[u8], count: usize) -> Vec<u8> {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken.to_vec()
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}
