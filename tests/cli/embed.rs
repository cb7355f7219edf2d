//! `cloze embed`: vectors of texts.

use crate::adapter;
use crate::workshop::{Workshop, names, outcome};
use cloze::checkpoint::SavedModel;
use cloze::data::{Batch, Example};
use cloze::device::Device;
use cloze::model::{Inference, Microbatch, Shape};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const WIDTH: usize = 32;

/// Texts from no token at all to more tokens than a training sequence has, out of order.
const TEXTS: [&str; 7] = [
    "It was.",
    "The morning after, and many a morning after that one, they walked to the village and came back with news.",
    "",
    "Yes",
    "She was not at all sorry to be found there by him, nor was he sorry to be found by her in return.",
    "\tHe asked whether [MASK] would come.",
    "No",
];

fn shop() -> Workshop {
    let shop = Workshop::new();
    shop.done("train run.toml --device cpu --set train.steps=3", &[]);
    shop.write("lines.txt", TEXTS.join("\n") + "\n");
    shop
}

fn vectors(jsonl: &str) -> Vec<Vec<f32>> {
    let vector = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let embedding = value["embedding"].as_array().unwrap();
        embedding.iter().map(|x| x.as_f64().unwrap() as f32).collect()
    };
    jsonl.lines().map(vector).collect()
}

fn embed(shop: &Workshop, more: &str) -> Vec<Vec<f32>> {
    vectors(&shop.done(&format!("embed runs/run lines.txt --device cpu {more}"), &[]).stdout)
}

/// A NumPy file of format 1.0: its shape and values.
fn parse_npy(bytes: &[u8]) -> ((usize, usize), Vec<f32>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(start.is_multiple_of(64) && bytes[start - 1] == b'\n', "{start}");
    let header = std::str::from_utf8(&bytes[10..start]).unwrap().trim_end();
    let shape = header
        .strip_prefix("{'descr': '<f4', 'fortran_order': False, 'shape': (")
        .unwrap_or_else(|| panic!("{header}"));
    let (rows, width) = shape.strip_suffix("), }").unwrap().split_once(", ").unwrap();
    let values = bytes[start..].chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap()));
    ((rows.parse().unwrap(), width.parse().unwrap()), values.collect())
}

fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{what}, row {row}");
        let difference = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference <= tolerance, "{what}, row {row}: differs by {difference}");
    }
}

/// The encoder's output for a single text, one row per token.
fn rows(model: &SavedModel, ids: &[u32]) -> Vec<Vec<f32>> {
    let shape = Shape { batch: 1, sequence: ids.len(), selected: ids.len() };
    let encoding = Inference::encoding(&model.config, shape, u64::MAX).unwrap();
    let mut executor = encoding.start(&Device::Cpu, &model.config, model.values()).unwrap();
    let text = Example::new(ids.to_vec(), (0..ids.len() as u32).collect(), ids.to_vec());
    encoding.inputs.write(&mut *executor, &Batch::new(&[text], ids.len()), Microbatch::default()).unwrap();
    executor.run(encoding.phase).unwrap();
    encoding.read(&mut *executor).unwrap().chunks(WIDTH).map(<[f32]>::to_vec).collect()
}

fn mean(rows: &[Vec<f32>]) -> Vec<f32> {
    (0..WIDTH).map(|column| rows.iter().map(|row| row[column]).sum::<f32>() / rows.len() as f32).collect()
}

#[test]
fn vectors_are_those_of_each_text_alone_whatever_the_batch() {
    let shop = shop();
    let model = SavedModel::open(&shop.path("runs/run")).unwrap();
    // A training sequence has 32 tokens.
    let cut = |text: &str| {
        let mut ids = model.tokenizer.encode(text, true).unwrap();
        if ids.len() > 32 {
            ids.truncate(31);
            ids.push(model.tokenizer.specials().sep);
        }
        rows(&model, &ids)
    };
    let alone = TEXTS.map(cut);
    assert_eq!(alone[2].len(), 2, "an empty text has two tokens");
    assert!(alone.iter().any(|rows| rows.len() == 32) && alone.iter().any(|rows| rows.len() < 10));

    let means: Vec<Vec<f32>> = alone.iter().map(|rows| mean(rows)).collect();
    let firsts: Vec<Vec<f32>> = alone.iter().map(|rows| rows[0].clone()).collect();
    for batch in ["--batch-size 1", "--batch-size 3", ""] {
        assert_close(&embed(&shop, batch), &means, 1e-5, batch);
        assert_close(&embed(&shop, &format!("{batch} --pooling cls")), &firsts, 1e-5, batch);
    }

    let normalized = embed(&shop, "--normalize");
    for (row, (unit, mean)) in normalized.iter().zip(&means).enumerate() {
        let length = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
        let scaled: Vec<f32> = unit.iter().map(|x| x * length).collect();
        assert_close(&[scaled], std::slice::from_ref(mean), 1e-5, "--normalize");
        let one: f32 = unit.iter().map(|x| x * x).sum();
        assert!((one - 1.0).abs() < 1e-5, "row {row}: length {one}");
    }
}

#[test]
fn the_gpu_gives_the_same() {
    if !adapter::present() {
        return;
    }
    let shop = shop();
    let on_gpu = shop.done("embed runs/run lines.txt --device gpu --batch-size 3", &[]);
    assert_close(&vectors(&on_gpu.stdout), &embed(&shop, ""), 1e-4, "gpu");
}

#[test]
fn a_longer_text_is_cut_and_counted() {
    let shop = shop();
    let model = SavedModel::open(&shop.path("runs/run")).unwrap();
    let cut = shop.done("embed runs/run lines.txt --device cpu --max-length 12", &[]);
    let tokens = TEXTS.map(|text| model.tokenizer.encode(text, true).unwrap());
    let long = tokens.iter().filter(|ids| ids.len() > 12).count();
    assert!(long > 0 && long < TEXTS.len());
    let message = format!("warning: {long} of 7 texts have more than 12 tokens and were cut; see --max-length");
    assert!(cut.stderr.contains(&message), "{}", cut.stderr);
    let shortened = [&tokens[1][..11], &[model.tokenizer.specials().sep]].concat();
    assert_close(&vectors(&cut.stdout)[1..2], &[mean(&rows(&model, &shortened))], 1e-5, "the second text");

    let whole = shop.done("embed runs/run lines.txt --device cpu --max-length 200", &[]);
    assert!(!whole.stderr.contains("were cut"), "{}", whole.stderr);
    assert_close(&vectors(&whole.stdout)[1..2], &[mean(&rows(&model, &tokens[1]))], 1e-5, "the second text");
}

#[test]
fn json_lines_and_arrays_hold_the_same() {
    let shop = shop();
    let jsonl = shop.done("embed runs/run lines.txt --device cpu", &[]).stdout;
    for (line, text) in jsonl.lines().zip(TEXTS) {
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["text"], text);
        assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["embedding", "text"]);
    }
    let expected = vectors(&jsonl);

    let before = names(shop.path("."));
    shop.done("embed runs/run lines.txt --device cpu --out v.npy", &[]);
    shop.done("embed runs/run lines.txt --device cpu --out v.jsonl", &[]);
    shop.done("embed runs/run lines.txt --device cpu --format npy --out v.bin", &[]);
    let made: Vec<String> = names(shop.path(".")).into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(made, ["v.bin", "v.jsonl", "v.npy"]);
    assert_eq!(shop.text("v.jsonl"), jsonl);
    assert_eq!(shop.read("v.npy"), shop.read("v.bin"));
    assert_eq!(parse_npy(&shop.read("v.npy")), ((TEXTS.len(), WIDTH), expected.concat()));

    let mut command = shop.command();
    command.args("embed runs/run lines.txt lines.txt --device cpu --format npy".split(' '));
    let (shape, values) = parse_npy(&command.output().unwrap().stdout);
    assert_eq!((shape, values.len()), ((2 * TEXTS.len(), WIDTH), 2 * TEXTS.len() * WIDTH));
    assert_eq!(values[..TEXTS.len() * WIDTH], expected.concat());
}

#[test]
fn standard_input_and_nothing() {
    let shop = shop();
    let of_input = |input: &str| {
        let mut command = shop.command();
        outcome(command.args("embed runs/run --device cpu".split(' ')).write_stdin(input)).stdout
    };
    assert_eq!(of_input(&TEXTS.join("\r\n")), shop.done("embed runs/run lines.txt --device cpu", &[]).stdout);
    assert_eq!(of_input(""), "");
    shop.write("empty.txt", "");
    shop.done("embed runs/run empty.txt --device cpu --out empty.npy", &[]);
    assert_eq!(parse_npy(&shop.read("empty.npy")), ((0, WIDTH), Vec::new()));
}

/// More texts than are held in memory at once, or fit in a pipe.
#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let shop = shop();
    shop.write("many.txt", "a b\n".repeat(4000));
    assert_eq!(shop.done("embed runs/run many.txt --device cpu", &[]).stdout.lines().count(), 4000);
    let mut command = Command::new(crate::workshop::binary());
    command.args("embed runs/run many.txt --device cpu".split(' ')).current_dir(shop.path("."));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(vectors(&line).len(), 1);
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert!(stderr.lines().all(|line| line.starts_with("model: ")), "{stderr}");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn what_fails_leaves_no_file() {
    let shop = shop();
    shop.write("wide.txt", "\u{FEFF}wide".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    shop.write("v.npy", "as it was");
    let before = names(shop.path("."));
    let failed = shop.run("embed runs/run lines.txt wide.txt --device cpu --out v.npy", &[]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("wide.txt: the text is UTF-16"), "{}", failed.stderr);
    assert_eq!((names(shop.path(".")), shop.text("v.npy").as_str()), (before, "as it was"));
}
