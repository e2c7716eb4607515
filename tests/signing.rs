//! Keys, and verdicts that are signed: from the gate to who vouches for them; and openssl, which hosts verify with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use magellan_shell::signing::{
    Envelope, PAYLOAD_TYPE, ReleaseStatement, Role, SigningKey, Statement, Trusted, TrustedKey, pae, write_new,
};
use tempfile::TempDir;

use crate::support::{copy_folder, magellan, optional, root, run};

/// A strategy of the project, deployed and judged in a folder of its own.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"));
        copy_folder(&root().join("deployed/daily_trend"), &place.at("deployed/daily_trend"));
        fs::copy(root().join("deployed/policy.toml"), place.at("deployed/policy.toml")).expect("copied");
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn asked(&self, words: &[&str]) -> Command {
        let mut command = magellan(words);
        command.current_dir(self.0.path()).env("MAGELLAN_ARCHIVE", root().join("data/sample"));
        command.env_remove("MAGELLAN_SIGNING_KEY");
        command
    }

    fn ask(&self, words: &[&str]) -> (i32, String, String) {
        run(self.asked(words))
    }

    fn passes(&self, words: &[&str]) -> String {
        let (code, out, err) = self.ask(words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        out
    }

    /// Ends with this code, and names this error.
    fn refuses(&self, words: &[&str], exit: i32, code: &str) -> String {
        let (ended, out, err) = self.ask(words);
        assert!(ended == exit && err.contains(&format!("error[{code}]")), "{words:?}: {ended} {out}{err}");
        err
    }

    fn key(&self, name: &str, role: &str) {
        self.passes(&["keys", "new", "--name", name, "--role", role, "--out", &format!("{name}.pem")]);
    }

    /// Judged into a folder of the folder, as jobs of a workflow leave it.
    fn judged() -> Self {
        let place = Self::new();
        place.passes(&["gate", "--strategy", "daily_trend", "--out", "gate/one"]);
        place
    }
}

const SIGN: [&str; 5] = ["keys", "sign", "gate", "--key", "ci.pem"];
const VERIFY: [&str; 5] = ["keys", "verify", "gate", "--trusted", "ci.pem.pub"];

#[test]
fn a_verdict_is_signed_and_verified() {
    let place = Place::judged();
    place.key("ci", "verdict");
    place.refuses(&VERIFY, 8, "unsigned");
    let out = place.passes(&SIGN);
    assert!(out.starts_with("daily_trend: ") && out.contains("signed with"), "{out}");
    let text = fs::read_to_string(place.at("gate/verdict.dsse.jsonl")).expect("envelopes");
    assert_eq!(text.lines().count(), 1);
    let out = place.passes(&VERIFY);
    assert!(out.contains("daily_trend: ") && out.contains("signed by ci"), "{out}");
    // The folder of one job has its own.
    place.passes(&["keys", "sign", "gate/one", "--key", "ci.pem"]);
    fs::remove_file(place.at("gate/verdict.dsse.jsonl")).expect("removed");
    place.passes(&VERIFY);
}

#[test]
fn a_key_from_the_environment_signs_and_is_shown_nowhere() {
    let place = Place::judged();
    place.key("ci", "verdict");
    let pem = fs::read_to_string(place.at("ci.pem")).expect("a key");
    let secret = pem.lines().nth(1).expect("base64").to_owned();
    place.refuses(&SIGN[..3], 2, "no-key");
    let (code, out, err) = run(place.asked(&SIGN[..3]).env("MAGELLAN_SIGNING_KEY", &pem));
    assert!(code == 0 && !(out + &err).contains(&secret), "{code}");
    place.passes(&VERIFY);
    let cut = pem.replace("END", "AND");
    let (code, out, err) = run(place.asked(&SIGN[..3]).env("MAGELLAN_SIGNING_KEY", &cut));
    assert!(code == 2 && err.contains("error[bad-key]") && !(out + &err).contains(&secret), "{code} {err}");
    let shown = place.passes(&["keys", "show", "ci.pem"]) + &place.passes(&["keys", "show", "ci.pem.pub"]);
    assert!(!shown.contains(&secret) && shown.contains("ci  verdict"), "{shown}");
}

#[test]
fn only_what_was_judged_is_signed() {
    let place = Place::judged();
    place.key("ci", "verdict");
    fs::write(place.at("other"), "another program").expect("written");
    place.refuses(&[&SIGN[..], &["--binary", "other"]].concat(), 8, "verdict-differs");
    place.refuses(&[&SIGN[..], &["--strategy", "bear_trap"]].concat(), 8, "no-verdict");
    for (file, from, to) in [
        ("deployed/daily_trend/magellan-daily-trend.service", "RestartSec=10", "RestartSec=11"),
        ("deployed/daily_trend/config.json", "{", "{ "),
        ("deployed/policy.toml", "longest_days = 30", "longest_days = 29"),
    ] {
        let good = fs::read_to_string(place.at(file)).expect("read");
        assert!(good.contains(from), "{file}");
        fs::write(place.at(file), good.replacen(from, to, 1)).expect("written");
        place.refuses(&SIGN, 8, "verdict-differs");
        fs::write(place.at(file), good).expect("written");
    }
    assert!(!place.at("gate/verdict.dsse.jsonl").exists());
    place.passes(&SIGN);
}

#[test]
fn a_verdict_that_was_judged_again_or_signed_by_others_is_not_the_signed_one() {
    let place = Place::judged();
    for name in ["ci", "bob"] {
        place.key(name, "verdict");
    }
    place.key("ada", "release");
    place.passes(&SIGN);
    let refused = |trusted| place.refuses(&["keys", "verify", "gate", "--trusted", trusted], 8, "untrusted");
    assert!(refused("bob.pem.pub").contains("isn't trusted") && refused("ada.pem.pub").contains("isn't trusted"));
    // The right key, but for another role.
    let line = fs::read_to_string(place.at("ci.pem.pub")).expect("a line");
    fs::write(place.at("releases"), line.replace("verdict", "release")).expect("written");
    assert!(refused("releases").contains("hasn't the role"));
    let config = place.at("deployed/daily_trend/config.json");
    let good = fs::read_to_string(&config).expect("read");
    fs::write(&config, good.replacen('{', "{ ", 1)).expect("written");
    place.passes(&["gate", "--strategy", "daily_trend", "--out", "gate/one"]);
    place.refuses(&VERIFY, 8, "unsigned");
}

#[test]
fn a_new_key_replaces_nothing() {
    let place = Place::new();
    place.key("ci", "verdict");
    let (key, line) = (fs::read(place.at("ci.pem")).expect("a key"), fs::read(place.at("ci.pem.pub")).expect("a line"));
    let again = ["keys", "new", "--name", "ci", "--role", "verdict", "--out", "ci.pem"];
    place.refuses(&again, 8, "not-empty");
    fs::remove_file(place.at("ci.pem.pub")).expect("removed");
    place.refuses(&again, 8, "not-empty");
    assert_eq!(fs::read(place.at("ci.pem")).expect("a key"), key);
    fs::remove_file(place.at("ci.pem")).expect("removed");
    fs::write(place.at("ci.pem.pub"), &line).expect("written");
    place.refuses(&again, 8, "not-empty");
    assert!(!place.at("ci.pem").exists());
    place.refuses(&["keys", "new", "--name", "c i", "--role", "verdict", "--out", "x"], 2, "bad-trusted-keys");
    assert!(!place.at("x").exists());
}

#[test]
fn what_was_accepted_is_signed_beside_the_config_and_no_stray() {
    let place = Place::new();
    place.key("ada", "override");
    let sign = ["keys", "sign-acknowledgements", "daily_trend", "--key", "ada.pem"];
    place.refuses(&sign, 2, "bad-argument");
    let day = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 20);
    let day = day.strftime("%Y-%m-%d").to_string();
    let accept = ["gate", "acknowledge", "--strategy", "daily_trend", "--check", "pbo", "--why", "few trials"];
    place.passes(&[&accept[..], &["--who", "A. Person", "--expires", &day]].concat());
    place.refuses(&[&sign[..], &["--who", "bob"]].concat(), 2, "bad-argument");
    place.passes(&[&sign[..], &["--who", "A. Person"]].concat());
    let text = fs::read_to_string(place.at("deployed/daily_trend/acknowledgements.dsse.jsonl")).expect("envelopes");
    assert_eq!(text.lines().count(), 1);
    let (_, out, err) = place.ask(&["validate"]);
    assert!(!(out + &err).contains("acknowledgements"), "it is no stray");
}

fn openssl() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|folder| folder.join("openssl")).find(|program| program.is_file());
    optional("openssl", found)
}

/// What openssl prints, asked in a folder.
fn ask_openssl(program: &Path, folder: &Path, words: &str) -> String {
    let (code, out, err) = run(Command::new(program).args(words.split(' ')).current_dir(folder));
    assert_eq!(code, 0, "openssl {words}: {out}{err}");
    out
}

fn release() -> ReleaseStatement {
    let [contents, release] = ["c", "d"].map(|digit| digit.repeat(64));
    ReleaseStatement { commit: "a".repeat(40), contents, policy: String::new(), release }
}

fn trusting(key: &SigningKey) -> Trusted {
    let mut trusted = Trusted::default();
    trusted.add(TrustedKey::new(&[Role::Release], key.public(), "ci").expect("a key")).expect("added");
    trusted
}

#[test]
fn what_we_sign_openssl_verifies() {
    let Some(openssl) = openssl() else { return };
    let place = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (key, pem) = SigningKey::generate().expect("a key");
    write_new(&place.path().join("ours.pem"), &pem, 0o600).expect("written");
    ask_openssl(&openssl, place.path(), "pkey -in ours.pem -pubout -out public.pem");
    // Its last 32 bytes are what a trusted key's line holds.
    ask_openssl(&openssl, place.path(), "pkey -pubin -in public.pem -pubout -outform DER -out public.der");
    let base64 = ask_openssl(&openssl, place.path(), "base64 -A -in public.der");
    assert_eq!(base64[16..], key.public().to_base64());
    let envelope = Envelope::sign(&release(), &key).expect("signed").to_string();
    let value: serde_json::Value = serde_json::from_str(&envelope).expect("JSON");
    for (name, text) in [("payload", &value["payload"]), ("sig", &value["signatures"][0]["sig"])] {
        fs::write(place.path().join(format!("{name}.b64")), format!("{}\n", text.as_str().expect("text"))).expect("ok");
        ask_openssl(&openssl, place.path(), &format!("base64 -d -A -in {name}.b64 -out {name}"));
    }
    let payload = fs::read(place.path().join("payload")).expect("read");
    assert_eq!(payload, release().canonical().into_bytes());
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    let message = [head.as_bytes(), &payload];
    fs::write(place.path().join("message"), message.concat()).expect("written");
    let verify = "pkeyutl -verify -rawin -pubin -inkey public.pem -in message -sigfile sig";
    assert!(ask_openssl(&openssl, place.path(), verify).contains("Success"));
    fs::write(place.path().join("message"), [&message.concat()[..], b" "].concat()).expect("written");
    let mut command = Command::new(&openssl);
    let (code, ..) = run(command.args(verify.split(' ')).current_dir(place.path()));
    assert_ne!(code, 0, "openssl must be able to refuse");
}

#[test]
fn what_openssl_signs_we_verify() {
    let Some(openssl) = openssl() else { return };
    let place = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    ask_openssl(&openssl, place.path(), "genpkey -algorithm ed25519 -out theirs.pem");
    let key = SigningKey::read(&place.path().join("theirs.pem")).expect("openssl's key");
    let payload = release().canonical();
    fs::write(place.path().join("payload"), &payload).expect("written");
    fs::write(place.path().join("message"), pae(PAYLOAD_TYPE, payload.as_bytes())).expect("written");
    ask_openssl(&openssl, place.path(), "pkeyutl -sign -rawin -inkey theirs.pem -in message -out sig");
    let base64 = |file: &str| ask_openssl(&openssl, place.path(), &format!("base64 -A -in {file}"));
    let line = format!(
        r#"{{"payloadType":"{PAYLOAD_TYPE}","payload":"{}","signatures":[{{"keyid":"{}","sig":"{}"}}]}}"#,
        base64("payload"),
        key.public().id(),
        base64("sig"),
    );
    let envelope = Envelope::parse(&line).expect("an envelope");
    let (statement, by) = envelope.verify::<ReleaseStatement>(&trusting(&key)).expect("verified");
    assert_eq!((statement, by.as_str()), (release(), "ci"));
    // Both sign alike.
    assert_eq!(envelope, Envelope::sign(&release(), &key).expect("signed"));
    ask_openssl(&openssl, place.path(), "genpkey -algorithm x25519 -out other.pem");
    assert!(SigningKey::read(&place.path().join("other.pem")).is_err());
}
