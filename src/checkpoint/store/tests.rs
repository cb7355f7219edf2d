use super::*;
use crate::checkpoint::manifest::MANIFEST;

const FILES: [(&str, &[u8]); 2] = [("model.safetensors", b"weights"), ("config.json", b"{}")];

fn state(step: u64, validation_loss: Option<f64>) -> TrainingState {
    TrainingState { step, tokens: 10 * step, validation_loss, config_digest: "d".into(), ..Default::default() }
}

fn put<'a>(files: &'a [(&'a str, &'a [u8])]) -> impl FnOnce(&mut CheckpointWriter) -> Result<()> + 'a {
    move |out| files.iter().try_for_each(|(name, bytes)| out.put(name, bytes))
}

fn store(folder: &Path) -> CheckpointStore {
    CheckpointStore::new(folder, 2, true).unwrap()
}

/// A folder with checkpoints of these steps, none validated.
fn with_steps(steps: &[u64]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for step in steps {
        store(dir.path()).save(&state(*step, None), put(&FILES)).unwrap();
    }
    dir
}

fn steps(folder: &Path) -> Vec<u64> {
    list(folder).unwrap().into_iter().map(|(step, _)| step).collect()
}

fn latest(folder: &Path) -> Option<u64> {
    store(folder).latest_valid().unwrap().map(|checkpoint| checkpoint.state().step)
}

#[test]
fn what_is_saved_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    assert!(store.latest_valid().unwrap().is_none());
    let saved = TrainingState { best_validation_loss: Some(1.5), best_step: Some(3), ..state(7, Some(2.25)) };
    let path = store.save(&saved, put(&FILES)).unwrap();
    assert_eq!(path, dir.path().join("step-000007"));
    let checkpoint = store.latest_valid().unwrap().unwrap();
    assert_eq!(*checkpoint.state(), saved);
    assert_eq!(checkpoint.files().collect::<Vec<_>>(), ["config.json", "model.safetensors"]);
    assert_eq!(checkpoint.read("model.safetensors").unwrap(), b"weights");
    assert!(checkpoint.read("../x").unwrap_err().to_string().contains("not part of this checkpoint"));
}

#[test]
fn a_killed_save_leaves_the_one_before() {
    let dir = with_steps(&[100]);
    let unfinished = dir.path().join(".tmp-step-000200");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("model.safetensors"), "wei").unwrap();
    assert_eq!(latest(dir.path()), Some(100));
    assert!(!unfinished.exists());
}

#[test]
fn any_damage_leaves_the_one_before() {
    for name in ["model.safetensors", "config.json", "manifest.json", "manifest.json.blake3"] {
        for (number, damage) in [flip_a_byte, truncate, remove_file].into_iter().enumerate() {
            let dir = with_steps(&[100, 200]);
            assert_eq!(latest(dir.path()), Some(200));
            damage(&dir.path().join("step-000200").join(name));
            assert_eq!(latest(dir.path()), Some(100), "damage {number} of {name}");
        }
    }
}

fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[1] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
}

fn remove_file(path: &Path) {
    fs::remove_file(path).unwrap();
}

#[test]
fn every_flipped_byte_of_a_manifest_is_noticed() {
    let dir = with_steps(&[100]);
    let manifest = dir.path().join("step-000100").join(MANIFEST);
    let whole = fs::read(&manifest).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&manifest, bytes).unwrap();
        assert!(Checkpoint::open(manifest.parent().unwrap()).is_err(), "byte {at}");
    }
}

#[test]
fn a_checkpoint_under_another_name_is_damaged() {
    let dir = with_steps(&[100]);
    fs::rename(dir.path().join("step-000100"), dir.path().join("step-000300")).unwrap();
    assert_eq!(latest(dir.path()), None);
}

#[test]
fn the_same_step_is_replaced() {
    let dir = with_steps(&[100]);
    store(dir.path()).save(&state(100, Some(1.0)), put(&[("model.safetensors", b"other")])).unwrap();
    let checkpoint = store(dir.path()).latest_valid().unwrap().unwrap();
    assert_eq!(checkpoint.read("model.safetensors").unwrap(), b"other");
    assert_eq!(names(dir.path()).unwrap(), ["step-000100"]);
}

#[test]
fn a_kill_while_replacing_loses_nothing() {
    let dir = with_steps(&[100, 200]);
    let (path, replaced) = (dir.path().join("step-000200"), dir.path().join(".old-step-000200"));
    fs::rename(&path, &replaced).unwrap();
    assert!(has_checkpoints(dir.path()).unwrap());
    assert_eq!(latest(dir.path()), Some(200));
    assert!(path.exists() && !replaced.exists());

    fs::create_dir(&replaced).unwrap();
    assert_eq!(latest(dir.path()), Some(200));
    assert!(!replaced.exists());
}

#[test]
fn the_last_and_the_best_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let save = |keep_best, step, loss| {
        let store = CheckpointStore::new(dir.path(), 2, keep_best).unwrap();
        store.save(&state(step, loss), put(&FILES)).unwrap();
        steps(dir.path())
    };
    assert_eq!(save(true, 100, Some(3.0)), [100]);
    assert_eq!(save(true, 200, Some(1.0)), [100, 200]);
    assert_eq!(save(true, 300, Some(2.0)), [200, 300]);
    assert_eq!(save(true, 400, Some(f64::NAN)), [200, 300, 400]);
    assert_eq!(save(true, 500, None), [200, 400, 500]);
    assert_eq!(best_of(opened(dir.path()).unwrap()).unwrap().unwrap().state().step, 200);
    assert_eq!(save(true, 600, Some(0.5)), [500, 600]);
    assert_eq!(save(false, 700, None), [600, 700]);
    assert_eq!(save(false, 800, None), [700, 800]);
    assert!(best_of(opened(dir.path()).unwrap()).unwrap().is_none());
}

#[test]
fn a_damaged_later_checkpoint_displaces_none() {
    let dir = with_steps(&[100, 200, 300]);
    fs::write(dir.path().join("step-000300/config.json"), "[]").unwrap();
    assert_eq!(latest(dir.path()), Some(200));
    store(dir.path()).save(&state(250, None), put(&FILES)).unwrap();
    assert_eq!(steps(dir.path()), [200, 250, 300]);
    assert_eq!(latest(dir.path()), Some(250));
}

#[test]
fn a_damaged_best_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path()).save(&state(100, Some(1.0)), put(&FILES)).unwrap();
    store(dir.path()).save(&state(200, Some(2.0)), put(&FILES)).unwrap();
    fs::write(dir.path().join("step-000100/config.json"), "[]").unwrap();
    assert_eq!(best_of(opened(dir.path()).unwrap()).unwrap().unwrap().state().step, 200);
}

#[test]
fn a_failed_save_leaves_nothing() {
    let dir = with_steps(&[100]);
    for name in ["../model", "manifest.json", "", ".hidden", "a/b"] {
        let message = store(dir.path()).save(&state(200, None), put(&[(name, b"x")])).unwrap_err().to_string();
        assert!(message.contains("not a name"), "{name}: {message}");
    }
    assert_eq!(names(dir.path()).unwrap(), ["step-000100"]);
}

#[test]
fn a_later_format_is_refused_and_not_passed_over() {
    let dir = with_steps(&[100]);
    let path = dir.path().join("step-000100");
    let json = b"{\"format\": 2, \"new\": []}";
    fs::write(path.join(MANIFEST), json).unwrap();
    fs::write(path.join("manifest.json.blake3"), format!("{}  {MANIFEST}\n", blake3::hash(json).to_hex())).unwrap();
    let refused = |error: Error| matches!(error, Error::Version { path: file, found: 2, newest: 1 } if file == path.join(MANIFEST));
    assert!(refused(Checkpoint::open(&path).unwrap_err()));
    // An older checkpoint does not take its place either.
    store(dir.path()).save(&state(50, None), put(&FILES)).unwrap();
    assert!(refused(store(dir.path()).latest_valid().unwrap_err()) && refused(opened(dir.path()).unwrap_err()));
}
