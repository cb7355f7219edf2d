use super::*;
use crate::model::{NormPlacement, Positions, Recipe};

const SMALL: &str = "
name = 'test'
data.train = ['a.txt']
train = { steps = 100, learning_rate = 1e-3 }
model = { layers = 2, hidden_size = 128, heads = 2 }
";

fn config(sets: &[&str]) -> Result<Config> {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    Config::from_table(SMALL.parse().unwrap(), &sets, OldNames::default())
}

#[test]
fn defaults_follow_the_recipe_and_other_keys() {
    let modern = config(&[]).unwrap();
    assert_eq!(modern.model.recipe, Recipe::Modern);
    assert_eq!((modern.model.norm, modern.model.positions), (NormPlacement::Pre, Positions::Rope));
    assert_eq!((modern.model.intermediate_size, modern.model.max_positions), (336, 512));
    assert_eq!((modern.model.bias, modern.model.type_vocab_size, modern.model.norm_eps), (false, 0, 1e-5));
    assert_eq!((modern.train.micro_batch, modern.train.warmup(), modern.seed), (MicroBatch::Sequences(32), 5, 1));
    assert!(modern.tokenizer.lowercase && modern.tokenizer.strip_accents);
    let cased = config(&["tokenizer.lowercase=false"]).unwrap().tokenizer;
    assert!(!cased.lowercase && !cased.strip_accents);

    let bert = config(&["model.recipe=bert", "data.sequence_length=1024", "tokenizer.kind=bpe"]).unwrap();
    assert_eq!((bert.model.norm, bert.model.positions), (NormPlacement::Post, Positions::Learned));
    assert_eq!((bert.model.intermediate_size, bert.model.max_positions), (512, 1024));
    assert_eq!((bert.model.bias, bert.model.type_vocab_size, bert.model.norm_eps), (true, 2, 1e-12));
    assert!(!bert.tokenizer.lowercase && !bert.tokenizer.strip_accents);
}

#[test]
fn what_is_written_wins_over_the_recipe() {
    let config =
        config(&["model.recipe=bert", "model.norm=pre", "model.intermediate_size=100", "train.warmup_steps=7"]);
    let config = config.unwrap();
    assert_eq!((config.model.norm, config.model.intermediate_size), (NormPlacement::Pre, 100));
    assert_eq!((config.model.positions, config.train.warmup()), (Positions::Learned, 7));
}

/// A size derived from such a size would not fit a TOML integer.
#[test]
fn a_width_beyond_all_bounds_is_refused_by_its_own_key() {
    for recipe in ["modern", "bert"] {
        let sets = [format!("model.recipe={recipe}"), format!("model.hidden_size={}", i64::MAX)];
        let message = config(&sets.each_ref().map(String::as_str)).unwrap_err().to_string();
        assert!(message.starts_with("model.hidden_size: ") && message.contains("the most is 1048576"), "{message}");
    }
}

#[test]
fn layers_are_global_or_local_by_number() {
    let local = config(&["model.sliding_window=64", "model.layers=5"]).unwrap().model;
    assert_eq!((0..5).map(|layer| local.is_global(layer)).collect::<Vec<_>>(), [true, false, false, true, false]);
    let global = config(&["model.layers=5"]).unwrap().model;
    assert!((0..5).all(|layer| global.is_global(layer)));
}

#[test]
fn the_resolved_config_reads_back_the_same() {
    let sets = ["model.recipe=bert", "train.warmup_steps=3", "data.prepared=some/dir", "train.micro_batch=auto"];
    let config = config(&sets).unwrap();
    assert_eq!(config.train.micro_batch, MicroBatch::Auto);
    let read = Config::from_table(config.to_toml().parse().unwrap(), &[], OldNames::default()).unwrap();
    assert_eq!(read, config);
    assert_eq!(read.digest(), config.digest());
}

#[test]
fn a_model_config_survives_json() {
    let json = |model: &ModelConfig| serde_json::to_value(model).unwrap();
    let model = config(&["model.sliding_window=64"]).unwrap().model(4096);
    assert_eq!(ModelConfig::from_json(Path::new("config.json"), json(&model)).unwrap(), model);
    let without = json(&config(&[]).unwrap().model);
    let message = ModelConfig::from_json(Path::new("config.json"), without).unwrap_err().to_string();
    assert_eq!(message, "config.json: model.vocab_size: is not given");
}

#[test]
fn bad_configs_are_refused_by_key() {
    for (set, key, problem) in [
        (
            "train.shedule=linear",
            "train.shedule",
            "unknown key `shedule` (did you mean `schedule`?); allowed: `steps`, `batch_size`",
        ),
        ("trian.steps=5", "trian", "unknown key `trian` (did you mean `train`?)"),
        ("train.train=1", "train.train", "unknown key `train`"),
        ("data.colour=red", "data.colour", "unknown key `colour`; allowed: `train`, `prepared`"),
        (
            "train.schedule=linaer",
            "train.schedule",
            "(did you mean `linear`?); allowed: `linear`, `cosine`, `wsd`, `constant`",
        ),
        ("model.recipe=gpt", "model.recipe", "unknown value `gpt`; allowed: `modern`, `bert`"),
        ("train.tensorboard_histograms=5", "train.tensorboard_histograms", "set train.tensorboard = true"),
        ("train.steps=many", "train.steps", "found string \"many\", expected a whole number"),
        ("train.steps=-3", "train.steps", "found integer `-3`, expected a whole number, 0 or more"),
        ("train.batch_size=1.5", "train.batch_size", "expected a whole number"),
        ("data.train=a.txt", "data.train", "expected a list in brackets"),
        ("masking.whole_word=1", "masking.whole_word", "expected true or false"),
        ("masking=1", "masking", "expected a section"),
        ("seed=-1", "seed", "expected a whole number"),
        ("train.steps=0", "train.steps", "is 0; it must be at least 1"),
        ("train.learning_rate=0", "train.learning_rate", "is 0; it must be above 0"),
        ("train.learning_rate=nan", "train.learning_rate", "is NaN; it must be above 0"),
        ("train.learning_rate=inf", "train.learning_rate", "is inf; it must be above 0"),
        ("train.micro_batch=5", "train.micro_batch", "is 5, which does not divide train.batch_size = 32"),
        (
            "train.micro_batch=-1",
            "train.micro_batch",
            "found integer `-1`, expected a whole number, 0 or more, or \"auto\"",
        ),
        ("train.micro_batch=most", "train.micro_batch", "or \"auto\""),
        (
            "train.recompute=all",
            "train.recompute",
            "unknown value `all`; allowed: `none`, `elementwise`, `attention`, `layer`",
        ),
        ("train.micro_batch=0", "train.micro_batch", "is 0; it must be at least 1"),
        ("train.warmup_steps=101", "train.warmup_steps", "is 101, more than train.steps = 100"),
        ("train.warmup_fraction=1.0", "train.warmup_fraction", "must be at least 0 and below 1"),
        ("train.min_learning_rate=1", "train.min_learning_rate", "at most train.learning_rate = 0.001"),
        ("train.beta2=1", "train.beta2", "must be at least 0 and below 1"),
        ("train.grad_clip=-1", "train.grad_clip", "is -1; it must be 0 or more"),
        ("masking.rate=0", "masking.rate", "is 0; it must be above 0 and at most 0.9"),
        ("masking.rate=0.95", "masking.rate", "is 0.95; it must be above 0 and at most 0.9"),
        ("masking.keep=0.3", "masking", "mask + random + keep is 1.2"),
        ("model.heads=3", "model.heads", "is 3, which does not divide model.hidden_size = 128"),
        ("model.heads=0", "model.heads", "is 0; it must be at least 1"),
        ("model.heads=128", "model.heads", "needs an even width"),
        ("model.hidden_size=512", "model.heads", "makes heads 256 wide"),
        ("model.layers=100000000000", "model.layers", "the most is 1024"),
        ("model.sliding_window=100000000000", "model.sliding_window", "the most is 1048576"),
        ("train.batch_size=100000000000", "train.batch_size", "the most is 33554432 tokens a step"),
        ("model.sliding_window=1", "model.sliding_window", "a token would see only itself"),
        ("model.dropout=1", "model.dropout", "below 1"),
        ("model.vocab_size=100", "model.vocab_size", "set tokenizer.vocab_size instead"),
        ("model.max_positions=64", "data.sequence_length", "is 128, more than model.max_positions = 64"),
        ("tokenizer.vocab_size=3", "tokenizer.vocab_size", "is 3; it must be at least 64"),
        ("data.train=[]", "data.train", "names no text"),
        ("data.validation_fraction=0.9", "data.validation_fraction", "at most 0.5"),
        ("validation.rate=-1", "validation.rate", "is -1; it must be above 0"),
        ("checkpoint.keep=0", "checkpoint.keep", "is 0; it must be at least 1"),
        ("name=../x", "name", "`../x` must be usable as the name of a folder"),
    ] {
        let Err(Error::Config { key: found, problem: message, .. }) = config(&[set]) else {
            panic!("{set} was taken, or refused with another kind of error");
        };
        assert_eq!(found, key, "{set}: {message}");
        assert!(message.contains(problem), "{set}: {message}");
    }
    let wsd = config(&["train.schedule=wsd", "train.decay_fraction=0.98"]).unwrap_err().to_string();
    assert_eq!(wsd, "train.decay_fraction: is 98 steps, which with 5 of warm-up is more than train.steps = 100");
}

#[test]
fn what_has_no_default_is_asked_for() {
    for (section, key) in
        [("train", "steps"), ("train", "learning_rate"), ("model", "layers"), ("model", "hidden_size")]
    {
        let mut table: Table = SMALL.parse().unwrap();
        table[section].as_table_mut().unwrap().remove(key);
        let message = Config::from_table(table, &[], OldNames::default()).unwrap_err().to_string();
        assert_eq!(message, format!("{section}.{key}: is not given, and has no default"));
    }
}

#[test]
fn a_model_by_its_sizes_is_that_of_a_config_file() {
    let from_file = config(&["model.layers=3", "model.hidden_size=64", "model.heads=2"]).unwrap().model(1000);
    assert_eq!(ModelConfig::new(Recipe::Modern, 1000, 3, 64, 2).unwrap(), from_file);
    let message = ModelConfig::new(Recipe::Bert, 1000, 3, 64, 5).unwrap_err().to_string();
    assert_eq!(message, "model.heads: is 5, which does not divide model.hidden_size = 64");
    let message = ModelConfig::new(Recipe::Bert, 1000, usize::MAX, 64, 1).unwrap_err().to_string();
    assert!(message.starts_with("model"), "{message}");
}

#[test]
fn a_mistyped_section_is_told_of_before_what_it_holds() {
    let table: Table = SMALL.replace("model = {", "modle = {").parse().unwrap();
    let message = Config::from_table(table, &[], OldNames::default()).unwrap_err().to_string();
    assert!(message.starts_with("modle: unknown key `modle` (did you mean `model`?)"), "{message}");
}

#[test]
fn files_are_named_in_messages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my-run.toml");
    assert!(Config::load(&path, &[]).unwrap_err().to_string().contains("my-run.toml: "));
    std::fs::write(&path, "[train\nsteps = 1").unwrap();
    let message = Config::load(&path, &[]).unwrap_err().to_string();
    assert!(message.contains("my-run.toml: is not TOML") && message.contains("line 1"), "{message}");
    std::fs::write(&path, SMALL.replace("name = 'test'", "")).unwrap();
    assert_eq!(Config::load(&path, &[]).unwrap().name, "my-run");
}

#[test]
fn the_configs_that_ship_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            names.push(Config::load(&path, &[]).unwrap_or_else(|error| panic!("{}: {error}", path.display())).name);
        }
    }
    names.sort();
    assert_eq!(
        names,
        ["base-bert", "bert-base", "mini", "mini-bert", "quickstart", "small", "small-bert", "tiny", "tiny-bert"]
    );
}

/// The configs that are compared with PyTorch have the shapes that `benches/compare` gives them.
#[test]
fn the_configs_to_compare_with_have_the_shapes_of_their_names() {
    for (name, layers, hidden_size, heads, intermediate_size, vocabulary, batch_size) in [
        ("tiny", 2, 128, 2, 512, 8192, 32),
        ("mini", 4, 256, 4, 1024, 16384, 32),
        ("small", 4, 512, 8, 2048, 30522, 16),
        ("base", 12, 768, 12, 3072, 30522, 8),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("configs/{name}-bert.toml"));
        let Config { model, train, data, masking, tokenizer, .. } = Config::load(&path, &[]).unwrap();
        assert_eq!((model.layers, model.hidden_size, model.heads), (layers, hidden_size, heads), "{name}");
        assert_eq!((model.intermediate_size, tokenizer.vocab_size), (intermediate_size, vocabulary), "{name}");
        assert_eq!((train.batch_size, data.sequence_length), (batch_size, 128), "{name}");
        assert_eq!((model.recipe, model.dropout, model.attention_dropout), (Recipe::Bert, 0.0, 0.0), "{name}");
        assert_eq!((masking.rate, model.max_positions, train.grad_clip), (0.15, 512, 1.0), "{name}");
    }
}
