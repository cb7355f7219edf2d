//! The training and the validation part while they are prepared: gathers documents into shards.

use std::fs;
use std::path::Path;

use super::dataset::Split;
use super::divide::Ends;
use super::manifest::{ShardEntry, SplitEntry, shard_name};
use super::shard::{Shard, ShardBuilder, token_width};
use super::tokenizer::{Encoded, Tokenizer};
use crate::{Error, Remedy, Result};

/// The two parts while they are prepared.
pub(super) struct Parts<'a> {
    folder: &'a Path,
    shard_tokens: u64,
    builders: [ShardBuilder; 2],
    entries: [SplitEntry; 2],
    /// Occurrences of each token id.
    counts: [Vec<u64>; 2],
}

impl<'a> Parts<'a> {
    pub fn new(folder: &'a Path, tokenizer: &Tokenizer, shard_tokens: u64) -> Self {
        let builders = [(); 2].map(|()| ShardBuilder::new(token_width(tokenizer.vocab_size())));
        let counts = [(); 2].map(|()| vec![0; tokenizer.vocab_size()]);
        Parts { folder, shard_tokens, builders, entries: Default::default(), counts }
    }

    pub fn push(&mut self, split: Split, document: Encoded) -> Result<()> {
        for id in &document.ids {
            self.counts[split as usize][*id as usize] += 1;
        }
        self.builders[split as usize].push(&document);
        if self.builders[split as usize].tokens() >= self.shard_tokens {
            self.write_shard(split)?;
        }
        Ok(())
    }

    fn write_shard(&mut self, split: Split) -> Result<()> {
        let entry = &mut self.entries[split as usize];
        let shard = self.builders[split as usize].write(self.folder, shard_name(split.name(), entry.shards.len()))?;
        entry.documents += shard.documents;
        entry.tokens += shard.tokens;
        entry.shards.push(shard);
        Ok(())
    }

    pub fn finish(mut self) -> Result<([SplitEntry; 2], [Vec<u64>; 2])> {
        for split in [Split::Train, Split::Validation] {
            self.require(split)?;
            if self.builders[split as usize].documents() > 0 {
                self.write_shard(split)?;
            }
        }
        Ok((self.entries, self.counts))
    }

    /// Whether a part has any text so far.
    pub fn has(&self, split: Split) -> bool {
        self.entries[split as usize].tokens + self.builders[split as usize].tokens() > 0
    }

    /// # Errors
    /// A part has no text.
    pub fn require(&self, split: Split) -> Result<()> {
        if self.has(split) {
            return Ok(());
        }
        let problem = format!("there is no text for the {} part: give more text", split.name());
        Err(Error::config("prepare", problem).with(Remedy::HoldOut))
    }

    /// Moves ends of training documents to the validation part. The training part is written again.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn hold_out_ends(&mut self, fraction: f64) -> Result<()> {
        if self.builders[Split::Train as usize].documents() > 0 {
            self.write_shard(Split::Train)?;
        }
        self.counts[Split::Train as usize].fill(0);
        let written = std::mem::take(&mut self.entries[Split::Train as usize]);
        // Out of the way of the names of the new shards.
        let aside = self.folder.join("undivided");
        fs::create_dir(&aside).map_err(Error::io(&aside))?;
        for ShardEntry { file, .. } in &written.shards {
            let path = self.folder.join(file);
            fs::rename(&path, aside.join(file)).map_err(Error::io(&path))?;
        }
        let mut ends = Ends::new(fraction);
        let mut left = written.documents;
        for entry in &written.shards {
            let shard = Shard::open(&aside, entry, self.counts[0].len())?;
            for document in 0..shard.documents() {
                let mut whole = Encoded::default();
                shard.read(shard.bounds(document)?, &mut whole.ids, &mut whole.word_starts)?;
                left -= 1;
                let (mut train, mut validation) = ends.cut(whole);
                let only_token = written.documents == 1 && train.ids.len() == 1;
                if left == 0 && !only_token && validation.ids.is_empty() && !self.has(Split::Validation) {
                    (train, validation) = ends.cut_last(train);
                }
                for (split, part) in [(Split::Train, train), (Split::Validation, validation)] {
                    if !part.ids.is_empty() {
                        self.push(split, part)?;
                    }
                }
            }
            drop(shard);
            let path = aside.join(&entry.file);
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
        fs::remove_dir(&aside).map_err(Error::io(&aside))
    }
}
