use cloze::data::{Corpus, CorpusOptions, Progress, show_progress};
use std::sync::{Arc, Mutex};

/// The name of the reading that this test looks at, since readings of other tests are reported too.
const WATCHED: &str = "watched";

/// What was reported about a reading, in order.
static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());

#[derive(Debug, PartialEq)]
enum Told {
    Begun(u64),
    Read(u64),
    Message,
    Finished,
}

struct Listener;

impl Progress for Listener {
    fn advance(&self, bytes: u64) {
        TOLD.lock().unwrap().push(Told::Read(bytes));
    }

    fn above(&self, message: &dyn Fn()) {
        TOLD.lock().unwrap().push(Told::Message);
        message();
    }

    fn finish(&self) {
        TOLD.lock().unwrap().push(Told::Finished);
    }
}

struct Deaf;

impl Progress for Deaf {
    fn advance(&self, _: u64) {}

    fn above(&self, _: &dyn Fn()) {}

    fn finish(&self) {}
}

#[test]
fn a_reading_tells_how_far_it_is() {
    show_progress(|what, bytes| {
        if what != WATCHED {
            return Arc::new(Deaf);
        }
        TOLD.lock().unwrap().push(Told::Begun(bytes));
        Arc::new(Listener)
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt.zst");
    let text = zstd::encode_all(&b"one\ntwo \xFF"[..], 1).unwrap();
    std::fs::write(&path, &text).unwrap();
    let corpus = Corpus::open(&[path], CorpusOptions::default()).unwrap().with_progress(WATCHED);
    corpus.for_each(|document| drop(document.unwrap()));

    let told = TOLD.lock().unwrap();
    let read: u64 = told.iter().map(|told| if let Told::Read(bytes) = told { *bytes } else { 0 }).sum();
    assert_eq!((told.first(), read), (Some(&Told::Begun(text.len() as u64)), text.len() as u64), "{told:?}");
    assert_eq!(told[told.len() - 2..], [Told::Message, Told::Finished], "{told:?}");
}
