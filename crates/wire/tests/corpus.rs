//! The fuzz targets of `fuzz/`, without a fuzzer: every file of their corpora, which begin with the test vectors, and what a seeded
//! generator makes of them. A fuzzer finds more in a night; this holds, in some seconds and on the stable toolchain, what was found.
//!
//! `UPDATE_CORPUS=1 cargo test --release --locked --workspace --test corpus` adds what is new in the vectors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    reason = "clippy takes the helpers of an integration test for library code, and corpora are files"
)]

#[path = "../fuzz/targets.rs"]
mod targets;

use porchlight_wire::content::{Content, OlmPacket};
use porchlight_wire::hash::sha256;
use porchlight_wire::ids::DeviceId;
use porchlight_wire::letter::SignedLetter;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use targets::{TARGETS, Target};

/// What is tried of each target: enough to meet every branch of a decoder, some seconds for all of them together.
const MUTATIONS: u32 = 8_000;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/spec/vectors/{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The strings of vectors: those of this field, or all items of a plain list.
fn strings(name: &str, field: Option<&str>) -> Vec<String> {
    let all = vectors(name);
    let items = all.as_array().unwrap().iter();
    let texts = items.map(|item| field.map_or(item, |field| &item[field]).as_str().unwrap().to_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

fn bytes(name: &str, field: Option<&str>) -> Vec<Vec<u8>> {
    let hex = strings(name, field);
    hex.iter()
        .map(|text| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap())
        .collect()
}

/// What the test vectors have for a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let text = |texts: Vec<String>| texts.into_iter().map(String::into_bytes).collect();
    let packet = || OlmPacket {
        device: DeviceId::from_bytes([3; 16]),
        identity: None,
        message: vec![3; 200],
    };
    match target {
        "beacon" => bytes("beacon", Some("beacon")),
        "content" => {
            let letters = bytes("letter", None).into_iter();
            let mut contents: Vec<Vec<u8>> = letters
                .map(|letter| Content::Letter(SignedLetter::from_bytes(&letter).unwrap()).to_bytes())
                .collect();
            contents.push(Content::Olm(packet()).to_bytes());
            contents.push(Content::Batch(vec![packet(), packet()]).to_bytes());
            contents
        }
        "direct" => vec![packet().to_padded().unwrap()],
        "envelope" => bytes("envelope", Some("envelope")),
        "invite" => text(strings("invite", None)),
        "mailbox" => bytes("mailbox", Some("operation")),
        "message" => bytes("message", Some("plaintext")),
        "names" => {
            let mut texts = strings("safety_number", Some("one"));
            texts.push("/ip4/203.0.113.7/udp/4110/quic-v1".to_owned());
            text(texts)
        }
        "sheet" => bytes("sheet", Some("sheet")),
        "stamp" => bytes("stamp", Some("stamp")),
        plain => bytes(plain, None),
    }
}

/// The files of a corpus, by name.
fn files(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(corpus(target))
        .unwrap_or_else(|error| panic!("the corpus of {target}: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_corpus_has_the_vectors_and_every_target_accepts_some_of_it() {
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            assert!(target(&seed), "{name} accepts its vectors");
            let file = corpus(name).join(data_encoding::HEXLOWER.encode(&sha256(&seed)[..8]));
            if std::env::var_os("UPDATE_CORPUS").is_some() {
                fs::create_dir_all(corpus(name)).unwrap();
                fs::write(&file, &seed).unwrap();
            }
            assert!(
                file.exists(),
                "a vector of {name} is not in its corpus: {}",
                file.display()
            );
        }
        let accepted = files(name).iter().filter(|bytes| target(bytes)).count();
        assert!(accepted >= 1, "{name} accepts something");
    }
}

#[test]
fn every_target_has_its_program_and_the_other_way_round() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let programs: BTreeSet<String> = fs::read_dir(folder.join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(programs, targets);
    for name in targets {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name} is no program of the manifest"
        );
    }
}

#[test]
fn nothing_made_of_a_corpus_makes_a_decoder_panic_or_read_what_it_cannot_write() {
    for target in TARGETS {
        mutate(&target, 1);
    }
}

fn mutate((name, target): &Target, seed: u8) {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let files = files(name);
    for number in 0..MUTATIONS {
        let mut bytes = files[number as usize % files.len()].clone();
        for _ in 0..=rng.next_u32() % 4 {
            change(&mut bytes, &files, &mut rng);
        }
        let tried = bytes.clone();
        let result = std::panic::catch_unwind(move || target(&tried));
        if result.is_err() {
            let hex = data_encoding::HEXLOWER.encode(&bytes);
            panic!("{name}, mutation {number}: put these bytes into fuzz/corpus/{name} once it is mended: {hex}");
        }
    }
}

/// One small change, of the kinds that decoders trip over.
fn change(bytes: &mut Vec<u8>, files: &[Vec<u8>], rng: &mut ChaCha20Rng) {
    let mut draw = |below: usize| rng.next_u32() as usize % below.max(1);
    let at = draw(bytes.len());
    match draw(8) {
        // A bit.
        0 if !bytes.is_empty() => bytes[at] ^= 1 << draw(8),
        // A byte that means much in CBOR: lengths, ends, floats, huge numbers.
        1 if !bytes.is_empty() => {
            bytes[at] = [0x00, 0x1f, 0x3b, 0x5f, 0x7b, 0x9b, 0x9f, 0xbb, 0xbf, 0xdb, 0xf9, 0xff][draw(12)]
        }
        // Cut off.
        2 => bytes.truncate(at),
        // Something left out.
        3 if !bytes.is_empty() => {
            let end = (at + 1 + draw(16)).min(bytes.len());
            bytes.drain(at..end);
        }
        // Something twice.
        4 if !bytes.is_empty() => {
            let end = (at + 1 + draw(64)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        // Noise.
        5 => {
            let noise: Vec<u8> = (0..=draw(8)).map(|_| draw(256) as u8).collect();
            bytes.splice(at..at, noise);
        }
        // The end of another.
        6 => {
            let other = &files[draw(files.len())];
            let from = draw(other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        // One more or less, where a length may be.
        _ if !bytes.is_empty() => {
            bytes[at] = if draw(2) == 0 {
                bytes[at].wrapping_add(1)
            } else {
                bytes[at].wrapping_sub(1)
            }
        }
        _ => bytes.push(0),
    }
}
