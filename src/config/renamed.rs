//! Keys that had another name in earlier versions. Their old names still work.

use crate::model::ModelConfig;
use crate::settings::rename;
use crate::{Error, Result};
use std::borrow::Cow;
use toml::Table;

/// The old and the new name of each renamed key, by section.
const RENAMED: [(&str, &[(&str, &str)]); 2] = [("model", &ModelConfig::RENAMED), ("train", &[("clip", "grad_clip")])];

/// A key with its old and its new name.
#[derive(Clone, Copy, PartialEq)]
struct Renamed {
    section: &'static str,
    old: &'static str,
    new: &'static str,
}

impl Renamed {
    fn all() -> impl Iterator<Item = Renamed> {
        let in_section = |(section, names): (&'static str, &'static [(&'static str, &'static str)])| {
            names.iter().map(move |&(old, new)| Renamed { section, old, new })
        };
        RENAMED.into_iter().flat_map(in_section)
    }

    fn old_key(self) -> String {
        format!("{}.{}", self.section, self.old)
    }

    fn new_key(self) -> String {
        format!("{}.{}", self.section, self.new)
    }

    fn note(self) -> String {
        format!("{} is called {} now", self.old_key(), self.new_key())
    }
}

/// The old names that the user has written.
#[derive(Default)]
pub(super) struct OldNames(Vec<Renamed>);

impl OldNames {
    /// Replaces the old names in a table by the new ones.
    ///
    /// # Errors
    /// A key is given under both names.
    pub fn replace_in(&mut self, table: &mut Table) -> Result<()> {
        for renamed in Renamed::all() {
            if rename(table, renamed.section, renamed.old, renamed.new)? {
                self.add(renamed);
            }
        }
        Ok(())
    }

    /// A `key=value` under the key's new name.
    pub fn replaced<'a>(&mut self, assignment: &'a str) -> Cow<'a, str> {
        let Some((key, value)) = assignment.split_once('=') else { return assignment.into() };
        let Some(renamed) = Renamed::all().find(|renamed| renamed.old_key() == key.trim()) else {
            return assignment.into();
        };
        self.add(renamed);
        format!("{}={value}", renamed.new_key()).into()
    }

    fn add(&mut self, renamed: Renamed) {
        if !self.0.contains(&renamed) {
            self.0.push(renamed);
        }
    }

    /// Warns in the log of each old name.
    pub fn announce(&self) {
        self.0.iter().for_each(|renamed| log::warn!("{}", renamed.note()));
    }

    /// Adds the old name to an error about a key that was written under it.
    pub fn named_in(&self, mut error: Error) -> Error {
        if let Error::Config { key, problem, .. } = &mut error
            && let Some(renamed) = self.0.iter().find(|renamed| renamed.new_key() == *key)
        {
            problem.push_str(&format!(" ({})", renamed.note()));
        }
        error
    }
}

/// The text of a complete config, as it is written into a run, with every renamed key under its old name.
pub(super) fn by_first_names(text: &str) -> String {
    let mut section = None;
    let line_of = |line: &str| {
        if let Some(header) = line.strip_prefix('[') {
            section =
                Renamed::all().map(|renamed| renamed.section).find(|name| header.starts_with(&format!("{name}]")));
        }
        let in_section = Renamed::all().filter(|renamed| section == Some(renamed.section));
        let renamed = in_section.filter_map(|renamed| Some((renamed.old, line.strip_prefix(renamed.new)?)));
        let mut keys = renamed.filter(|(_, rest)| rest.starts_with(" = "));
        keys.next().map_or_else(|| line.to_string(), |(old, rest)| format!("{old}{rest}"))
    };
    text.split_inclusive('\n').map(line_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// A config with these keys in its sections, and assignments over it.
    fn load([train, model]: [&str; 2], sets: &[&str]) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        let text = format!(
            "data.train = ['a.txt']\n[train]\nsteps = 10\nlearning_rate = 1e-3\n{train}\n\
             [model]\nlayers = 1\nhidden_size = 64\nheads = 1\n{model}"
        );
        std::fs::write(&path, text).unwrap();
        Config::load(&path, &sets.iter().map(|set| set.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn old_names_mean_what_the_new_ones_mean() {
        let new = load(["grad_clip = 0.5", "sliding_window = 64\ntype_vocab_size = 3"], &[]).unwrap();
        assert_eq!((new.train.grad_clip, new.model.sliding_window, new.model.type_vocab_size), (0.5, 64, 3));
        assert_eq!(load(["clip = 0.5", "window = 64\ntoken_types = 3"], &[]).unwrap(), new);
        let sets = ["train.clip=0.5", "model.window=64", "model.token_types=3"];
        assert_eq!(load(["", ""], &sets).unwrap(), new);
        // They override either name in the file.
        assert_eq!(load(["grad_clip = 2.0", "window = 8"], &sets).unwrap(), new);
        assert_eq!(load(["clip = 2.0", "sliding_window = 8"], &sets).unwrap(), new);
        let section = "model={ layers = 1, hidden_size = 64, heads = 1, window = 64, token_types = 3 }";
        assert_eq!(load(["clip = 0.5", "sliding_window = 8"], &[section]).unwrap(), new);
    }

    #[test]
    fn a_key_by_both_names_is_refused_by_both() {
        for sections in [["clip = 1.0\ngrad_clip = 1.0", ""], ["", "sliding_window = 8\nwindow = 8"]] {
            let message = load(sections, &[]).unwrap_err().to_string();
            let found = Renamed::all().any(|renamed| {
                message.starts_with(&format!("{}: is called {} now", renamed.old_key(), renamed.new_key()))
            });
            assert!(found && message.contains("given too"), "{message}");
        }
    }

    #[test]
    fn what_is_refused_is_named_as_it_was_written_too() {
        let refused = |sections, sets: &[&str]| load(sections, sets).unwrap_err().to_string();
        let note = "train.grad_clip: is -1; it must be 0 or more (train.clip is called train.grad_clip now)";
        assert_eq!(refused(["clip = -1.0", ""], &[]), note);
        assert_eq!(refused(["", ""], &["train.clip=-1"]), note);
        let cut = refused(["", ""], &["train.clip=[1"]);
        assert!(
            cut.starts_with("train.grad_clip: `[1` is not a TOML value") && cut.contains("(train.clip is"),
            "{cut}"
        );
        assert_eq!(refused(["grad_clip = -1.0", ""], &[]), "train.grad_clip: is -1; it must be 0 or more");
        let misspelt = refused(["", "windou = 8"], &[]);
        assert!(misspelt.contains("`sliding_window`") && !misspelt.contains("`window`"), "{misspelt}");
    }

    /// By its digest, a checkpoint tells whether its run continues with the same settings.
    #[test]
    fn a_new_name_and_a_new_section_change_no_digest() {
        let config = load(["grad_clip = 0.5", "sliding_window = 64"], &[]).unwrap();
        let before = config.to_toml().replace("\ngrad_clip", "\nclip").replace("\nsliding_window", "\nwindow");
        let before = before.replace("\ntype_vocab_size", "\ntoken_types");
        assert!(before.contains("\n[task]\n"), "{before}");
        let before = before.replace("[task]\nkind = \"mlm\"\n\n", "");
        assert_eq!(config.digest(), blake3::hash(before.as_bytes()).to_hex().to_string());
    }

    #[test]
    fn first_names_stand_in_their_sections_alone() {
        let text = "grad_clip = 1\n\n[train]\ngrad_clip = 1.0\ngrad_clipped = 2\nsliding_window = 3\n\n\
                    [model]\nsliding_window = 0\n";
        let first =
            "grad_clip = 1\n\n[train]\nclip = 1.0\ngrad_clipped = 2\nsliding_window = 3\n\n[model]\nwindow = 0\n";
        assert_eq!(by_first_names(text), first);
    }

    #[test]
    fn an_assignment_is_replaced_by_its_whole_key() {
        let mut old = OldNames::default();
        assert_eq!(old.replaced(" train.clip =0.5"), "train.grad_clip=0.5");
        assert_eq!(old.replaced("model.window=a=b"), "model.sliding_window=a=b");
        for kept in ["train.clipping=1", "clip=1", "train.grad_clip=1", "train.clip"] {
            assert_eq!(old.replaced(kept), kept);
        }
        assert_eq!(old.0.len(), 2);
    }
}
