//! Where a passphrase comes from: the terminal, or a file. Never an argument or an environment variable, which other programs
//! can read.

use crate::failure::{Exit, Failure};
use crate::terminal::ask_hidden;
use anyhow::{Context, Result};
use porchlight_store::vault::Passphrase;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The environment variable that names a file with the passphrase.
pub const FILE_VARIABLE: &str = "PORCHLIGHT_PASSPHRASE_FILE";

/// The shortest new passphrase, in characters. A guess costs a fifth of a second, so that anything shorter is found.
const SHORTEST: usize = 8;

/// How often somebody at a terminal may mistype.
pub const TRIES: usize = 3;

/// Where a passphrase comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The first line of a file.
    File(PathBuf),
    /// Whoever sits at the terminal.
    Terminal,
}

impl Source {
    /// The file if there is one, the terminal otherwise.
    #[must_use]
    pub fn of(file: Option<&Path>) -> Self {
        file.map_or(Self::Terminal, |path| Self::File(path.to_owned()))
    }

    /// How often it may be asked: a file says the same each time.
    #[must_use]
    pub const fn tries(&self) -> usize {
        match self {
            Self::File(_) => 1,
            Self::Terminal => TRIES,
        }
    }

    /// Takes the passphrase that there is.
    ///
    /// # Errors
    ///
    /// If there is none, and no terminal to ask on.
    pub fn take(&self, prompt: &str) -> Result<Passphrase> {
        let bytes = match self {
            Self::File(path) => read(path)?,
            Self::Terminal => ask(prompt)?,
        };
        Passphrase::new(bytes).map_err(|error| self.unfit(&error.to_string()).into())
    }

    /// Takes a new passphrase: on a terminal twice, so that it is not mistyped.
    ///
    /// # Errors
    ///
    /// If there is none, it is too short, or the two are not the same.
    pub fn take_new(&self) -> Result<Passphrase> {
        match self {
            Self::File(path) => self.fit(read(path)?),
            Self::Terminal => {
                for _ in 0..TRIES {
                    let first = ask("new passphrase")?;
                    let again = ask("the same again")?;
                    if first == again {
                        return self.fit(first);
                    }
                    show("these are two passphrases; once more")?;
                }
                Err(self.unfit("it was typed differently each time").into())
            }
        }
    }

    fn fit(&self, bytes: Zeroizing<Vec<u8>>) -> Result<Passphrase> {
        let characters = String::from_utf8_lossy(&bytes).chars().count();
        let passphrase = Passphrase::new(bytes).map_err(|error| self.unfit(&error.to_string()))?;
        if characters < SHORTEST {
            let short = format!("the passphrase has {characters} characters; expected at least {SHORTEST}");
            return Err(self
                .unfit(&short)
                .hint("several words that have nothing to do with each other are easy to remember and hard to guess")
                .into());
        }
        Ok(passphrase)
    }

    fn unfit(&self, what: &str) -> Failure {
        let message = match self {
            Self::File(path) => format!("{}: {what}", path.display()),
            Self::Terminal => what.to_owned(),
        };
        Failure::new(Exit::Usage, "invalid_passphrase", message)
    }
}

/// Asks on the terminal, which is what standard input is: where it is something else, nobody is there to ask.
fn ask(prompt: &str) -> Result<Zeroizing<Vec<u8>>> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let message = "a passphrase is needed, and standard input is no terminal to ask for it on";
        return Err(Failure::new(Exit::Usage, "passphrase_needed", message)
            .hint(format!(
                "give a file whose first line it is: --passphrase-file FILE, or {FILE_VARIABLE}=FILE in the environment"
            ))
            .into());
    }
    ask_hidden(&stdin, &mut std::io::stderr(), prompt).context("the passphrase was not read")
}

/// Says something where the prompts are.
///
/// # Errors
///
/// If standard error is closed.
pub fn show(text: &str) -> Result<()> {
    use std::io::Write;
    writeln!(std::io::stderr(), "{text}")?;
    Ok(())
}

/// The first line of a file. A pipe will do, and needs no mode.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let unusable = |what: String| {
        Failure::new(
            Exit::Usage,
            "invalid_passphrase",
            format!("the passphrase file {} {what}", path.display()),
        )
    };
    let file = File::open(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let metadata = file
        .metadata()
        .map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(unusable(format!("can be read by others (mode {mode:o})"))
            .hint(format!(
                "run `chmod 600 {}`, and consider who has seen it",
                path.display()
            ))
            .into());
    }
    // Room for a line end, and for one byte that shows that it is too long.
    let most = Passphrase::LONGEST + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    file.take(u64::try_from(most).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(|error| unusable(format!("cannot be read: {error}")))?;
    if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        bytes.truncate(end);
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(bytes)
}
