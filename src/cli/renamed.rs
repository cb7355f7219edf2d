//! Flags that had other names in earlier versions. clap takes the old names as hidden aliases, without a word about it.

use std::ffi::OsString;

/// The command, the old name of its flag, and the new one.
const RENAMED: [(&str, &str, &str); 3] =
    [("eval", "--rate", "--mask-rate"), ("eval", "--split", "--documents"), ("prepare", "--split", "--documents")];

/// A note for each flag that this process was given by its old name.
pub fn notes() -> Vec<String> {
    notes_on(std::env::args_os().skip(1))
}

fn notes_on(arguments: impl Iterator<Item = OsString>) -> Vec<String> {
    let arguments: Vec<String> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let command = arguments.iter().find(|argument| !argument.starts_with('-'));
    let flags = || arguments.iter().take_while(|argument| *argument != "--").map(|argument| argument.split('=').next());
    let given = RENAMED
        .iter()
        .filter(|(of, old, _)| command.is_some_and(|name| name == of) && flags().any(|flag| flag == Some(old)));
    given.map(|(_, old, new)| format!("{old} is called {new} now")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    /// Every alias that clap knows is in the table, and nothing else.
    #[test]
    fn the_table_is_what_clap_takes() {
        let mut aliases = Vec::new();
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments() {
                for alias in argument.get_all_aliases().unwrap_or_default() {
                    let new = argument.get_long().unwrap();
                    aliases.push((command.get_name().to_string(), format!("--{alias}"), format!("--{new}")));
                }
            }
        }
        aliases.sort();
        let table = RENAMED.map(|(command, old, new)| (command.to_string(), old.to_string(), new.to_string()));
        assert_eq!(aliases, table);
    }

    #[test]
    fn only_old_names_are_told() {
        let notes = |line: &str| notes_on(line.split(' ').map(OsString::from));
        assert_eq!(notes("-v prepare --split line a.txt"), ["--split is called --documents now"]);
        assert_eq!(notes("eval --rate=0.2 run a.txt"), ["--rate is called --mask-rate now"]);
        for line in
            ["eval --mask-rate 0.2 --documents line run a.txt", "eval run -- --split", "train --rate 1 eval", ""]
        {
            assert!(notes(line).is_empty(), "{line}");
        }
    }
}
