//! What may help against an error, in the words of the command line. Only here do the library's remedies become flags and keys.

use crate::{Error, Remedy};

/// An error with what may help.
pub(super) fn told(error: &Error) -> String {
    sentence(&error.to_string(), error.remedy())
}

/// A problem with what may help.
pub(super) fn sentence(problem: &str, remedy: Option<Remedy>) -> String {
    match remedy.map(words) {
        None => problem.to_string(),
        Some(words) if words.starts_with("or ") => format!("{problem}, {words}"),
        Some(words) => format!("{problem}; {words}"),
    }
}

/// The words for a remedy, as a line of its own.
pub(super) fn line(remedy: Remedy) -> &'static str {
    words(remedy).trim_start_matches("or ")
}

/// The words for a remedy. Those that begin with "or" follow a first remedy, which the message itself already names.
fn words(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::SmallerBatch => "lower `train.micro_batch` or `data.sequence_length`",
        Remedy::SmallerModel => "lower `model.layers` or `model.hidden_size`",
        Remedy::NarrowerModel => "lower `model.hidden_size` or `model.intermediate_size`",
        Remedy::SmallerVocabulary => "lower `tokenizer.vocab_size` or `model.hidden_size`",
        Remedy::FewerPositions => "lower `model.max_positions` or `model.hidden_size`",
        Remedy::FullPrecision => "take train.precision = \"f32\", or --precision f32 for a bench of kernels",
        Remedy::WiderFormat => "take --dtype bf16 or f32",
        Remedy::GpuOrFullPrecision => "take --device gpu, or --precision f32",
        Remedy::Cpu => "or take --device cpu",
        Remedy::CpuOrExamination => "or take --device cpu (`cloze doctor` tells more, and looks again)",
        Remedy::KnownDevice => {
            "--device takes auto, cpu, gpu, or a number or a part of the name of what `cloze devices` lists"
        }
        Remedy::NoProfile => "leave out --profile, or take --device cpu",
        Remedy::Resume => "go on with a training from its latest checkpoint by --resume",
        Remedy::ResumeOrWaitLonger => {
            "go on with a training from its latest checkpoint by --resume; train.hang_seconds says how long a call may take"
        }
        Remedy::ResumeOrAnotherFolder => "go on by --resume, or choose another folder by --out",
        Remedy::AnotherFolder => "or choose another folder by --out",
        Remedy::AnotherRun => "or start another run by --out and without --resume",
        Remedy::BeginAnew => "leave out --resume to begin it anew",
        Remedy::Overwrite => "replace it by --overwrite",
        Remedy::Prepare => "run `cloze prepare`",
        Remedy::PrepareAgain => {
            "run `cloze prepare` again with --overwrite; a run's own data is made again once its folder is removed"
        }
        Remedy::HoldOut => {
            "--validation-fraction (data.validation_fraction) says how much is held out, up to a half; --validation \
             (data.validation) names files instead"
        }
        Remedy::TextKey => {
            "--field (data.field) names it, and --max-bad-lines (data.max_bad_lines) lets more lines be skipped"
        }
        Remedy::SkipMoreLines => "or let more be skipped by --max-bad-lines (data.max_bad_lines)",
        Remedy::OtherTokenizer => {
            "`cloze tokenizer` learns one by --kind, --vocab-size and --character-coverage, a training by the keys of [tokenizer]"
        }
        Remedy::Assignment => "write it as in --set train.steps=500",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_goes_on_from_the_problem() {
        let busy = Error::file("run", "another training is writing here; wait for it to end");
        assert_eq!(told(&busy), busy.to_string());
        let expected = "run: another training is writing here; wait for it to end, or choose another folder by --out";
        assert_eq!(told(&busy.with(Remedy::AnotherFolder)), expected);
        let lost = told(&Error::DeviceLost("it was reset".into()));
        assert!(lost.ends_with("and run this again; go on with a training from its latest checkpoint by --resume"));
    }
}
