use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use cloze::data::{Corpus, CorpusOptions, DocumentSplit, Report};
use cloze::{Error, Remedy};

use crate::prose;

fn read(path: &Path, split: DocumentSplit) -> cloze::Result<(Vec<String>, Report)> {
    let mut corpus = Corpus::open(&[path.to_path_buf()], CorpusOptions { split, ..CorpusOptions::default() })?;
    let documents = corpus.by_ref().collect::<cloze::Result<_>>()?;
    Ok((documents, corpus.report()))
}

/// A file with this name and content in a folder of its own, which exists as long as the first result.
fn file(name: &str, content: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn error(path: &Path) -> Error {
    read(path, DocumentSplit::Line).unwrap_err()
}

fn message(path: &Path) -> String {
    error(path).to_string()
}

#[test]
fn the_three_ways_to_split() {
    let (_folder, path) = file("a.txt", "\u{feff}one\r\ntwo\n\n \nthree\n\nfour");
    let (documents, report) = read(&path, DocumentSplit::Line).unwrap();
    assert_eq!(documents, ["one", "two", "three", "four"]);
    assert_eq!(report, Report { files: 1, documents: 4, bytes: 15, empty: 3, ..Report::default() });

    let (documents, report) = read(&path, DocumentSplit::BlankLine).unwrap();
    assert_eq!(documents, ["one\ntwo", "three", "four"]);
    assert_eq!((report.documents, report.empty), (3, 0));

    let (documents, _) = read(&path, DocumentSplit::File).unwrap();
    assert_eq!(documents, ["one\ntwo\n\n \nthree\n\nfour"]);
}

#[test]
fn compressed_files_read_like_plain_ones() {
    let text = prose(1, 2000);
    let (_folder, plain) = file("a.txt", &text);
    // Two members in one file are as valid as one.
    let (first, second) = text.as_bytes().split_at(1000);
    let (_folder_gz, gz) = file("a.txt.gz", [gzip(first), gzip(second)].concat());
    let (_folder_zst, zst) = file("a.txt.zst", zstd::encode_all(text.as_bytes(), 1).unwrap());
    let expected = read(&plain, DocumentSplit::Line).unwrap();
    assert_eq!(expected.0.len(), 2000);
    assert_eq!(read(&gz, DocumentSplit::Line).unwrap(), expected);
    assert_eq!(read(&zst, DocumentSplit::Line).unwrap(), expected);
}

#[test]
fn truncated_and_damaged_compressed_files_are_named() {
    let text = prose(1, 5000);
    for (name, whole) in
        [("a.txt.gz", gzip(text.as_bytes())), ("a.txt.zst", zstd::encode_all(text.as_bytes(), 1).unwrap())]
    {
        let length = whole.len() * 2 / 3;
        let (_folder, path) = file(name, &whole[..length]);
        let truncated = message(&path);
        assert!(truncated.contains(name) && truncated.contains(&format!("at byte {length}")), "{truncated}");

        let mut damaged = whole;
        damaged[..2].fill(0);
        let (_folder, path) = file(name, &damaged);
        assert!(message(&path).contains(name) && message(&path).contains("damaged"), "{}", message(&path));
    }
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_counted() {
    let (_folder, path) = file("a.txt", b"caf\xe9 au\xff\xfelait\nfine\n");
    let (documents, report) = read(&path, DocumentSplit::Line).unwrap();
    assert_eq!(documents, ["caf\u{fffd} au\u{fffd}\u{fffd}lait", "fine"]);
    assert_eq!(report.replaced, 3);

    let (_folder, path) = file("b.txt", b"\xff\xfeh\0i\0");
    assert!(message(&path).contains("UTF-16"), "{}", message(&path));
}

#[test]
fn a_huge_line_is_cut_and_nothing_lost() {
    const LIMIT: usize = 16 << 20;
    let words = "wörter ".repeat((2 * LIMIT + 5) / 8 + 1);
    let solid = "é".repeat(LIMIT / 2 + 10);
    for (text, pieces) in [(words.as_str(), 3), (solid.as_str(), 2), (&solid[..LIMIT], 1)] {
        let (_folder, path) = file("a.txt", format!("{text}\nend\n"));
        for split in [DocumentSplit::Line, DocumentSplit::BlankLine] {
            let (documents, report) = read(&path, split).unwrap();
            assert!(documents.iter().all(|document| document.len() <= LIMIT));
            assert_eq!(documents.concat().replace('\n', ""), format!("{text}end"));
            assert!((report.cut as usize) >= pieces - 1 && report.cut <= pieces as u64, "{split:?}: {report:?}");
            assert_eq!(report.replaced, 0);
        }
    }
}

#[test]
fn a_huge_json_text_is_cut() {
    let text = "many words ".repeat(3 << 20);
    let (_folder, path) = file("a.jsonl", format!("{{\"text\": {text:?}}}\n{{\"text\": \"last\"}}\n"));
    let (documents, report) = read(&path, DocumentSplit::File).unwrap();
    assert_eq!((documents.len(), report.cut), (4, 2));
    assert_eq!(documents.concat(), text + "last");
}

#[test]
fn bad_json_lines_are_named() {
    let (_folder, path) = file("a.jsonl", "{\"text\": \"good\"}\n\n{\"title\": \"x\", \"body\": \"y\"}\n");
    assert!(message(&path).contains("a.jsonl: line 3: no key \"text\""), "{}", message(&path));
    assert!(message(&path).contains("\"title\""), "{}", message(&path));
    assert_eq!(error(&path).remedy(), Some(Remedy::TextKey));
    for (line, complaint) in
        [("{\"text\": 3}", "not a string"), ("{\"text\"", "not JSON"), ("[1]", "not a JSON object")]
    {
        let (_folder, path) = file("a.jsonl", format!("{{\"text\": \"good\"}}\n{line}\n"));
        let message = message(&path);
        assert!(message.contains("line 2") && message.contains(complaint), "{message}");
    }
}

#[test]
fn files_without_text_are_passed_over_and_counted() {
    for content in ["", "\n \n\t\n"] {
        let (folder, path) = file("b.txt", content);
        assert!(message(&path).contains("b.txt: there is no text"), "{}", message(&path));
        fs::write(folder.path().join("a.txt"), "").unwrap();
        assert!(message(folder.path()).contains("a.txt: there is no text in this file, nor in the 1 others"));

        fs::write(folder.path().join("a.txt"), "text").unwrap();
        fs::write(folder.path().join("c.txt"), "text").unwrap();
        let (documents, report) = read(folder.path(), DocumentSplit::File).unwrap();
        assert_eq!((documents.len(), report.files, report.empty_files), (2, 3, 1));
    }
}

#[test]
fn a_small_share_of_bad_json_lines_is_skipped() {
    let good = "{\"text\": \"good\"}\n";
    let (_folder, path) = file("a.jsonl", good.repeat(150) + "{\"text\": null}\n{\"te" + "\n" + &good.repeat(50));
    let (documents, report) = read(&path, DocumentSplit::Line).unwrap();
    assert_eq!((documents.len(), report.skipped), (200, 2));

    let (_folder, path) = file("a.jsonl", good.repeat(150) + &"{\"text\": null}\n".repeat(3));
    assert!(message(&path).contains("a.jsonl: line 151: \"text\" is not a string"), "{}", message(&path));
    assert!(message(&path).contains("3 of 153 lines"), "{}", message(&path));
    assert_eq!(error(&path).remedy(), Some(Remedy::SkipMoreLines));
    // The wrong key is noticed long before the end.
    let (_folder, path) = file("a.jsonl", good.to_string() + &"{\"body\": 1}\n".repeat(5000));
    assert!(message(&path).contains("11 of 12 lines"), "{}", message(&path));
}

#[test]
fn numbered_files_are_text_or_json_lines() {
    for (content, expected) in [("some text", "some text"), ("{\"text\": \"of JSON\"}", "of JSON")] {
        let (folder, path) = file("wiki_00", content);
        assert_eq!(read(&path, DocumentSplit::File).unwrap().0, [expected]);
        assert_eq!(read(folder.path(), DocumentSplit::File).unwrap().0, [expected]);
    }
}
