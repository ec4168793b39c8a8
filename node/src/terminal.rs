//! Asking for what must not be seen on the terminal.

use porchlight_store::vault::Passphrase;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{self, Write};
use std::os::fd::AsFd;
use zeroize::Zeroizing;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: [u8; 2] = [0x08, 0x7f];
const CLEAR: u8 = 0x15;
const QUIT: u8 = 0x1c;

/// A terminal that does not show what is typed, until it is dropped.
struct Quiet<F: AsFd> {
    terminal: F,
    before: Termios,
}

impl<F: AsFd> Quiet<F> {
    /// Takes over editing and signals too, so that an interrupt does not leave the terminal without its echo.
    fn new(terminal: F) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &quiet)?;
        Ok(Self { terminal, before })
    }

    fn byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        loop {
            match rustix::io::read(&self.terminal, &mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(byte[0])),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<F: AsFd> Drop for Quiet<F> {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Asks on `prompts`, and reads a line from the terminal without showing it. Bytes beyond what a passphrase may have are
/// counted by one, so that it is found too long.
///
/// # Errors
///
/// If whoever is asked interrupts, or the terminal cannot be used.
pub(crate) fn ask_hidden(
    terminal: impl AsFd,
    prompts: &mut impl Write,
    prompt: &str,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let quiet = Quiet::new(terminal)?;
    write!(prompts, "{prompt}: ")?;
    prompts.flush()?;
    let line = read_line(&quiet);
    writeln!(prompts)?;
    line
}

fn read_line<F: AsFd>(quiet: &Quiet<F>) -> io::Result<Zeroizing<Vec<u8>>> {
    // With room from the start, so that no part of it is left behind when it grows.
    let mut line = Zeroizing::new(Vec::with_capacity(Passphrase::LONGEST + 1));
    while let Some(byte) = quiet.byte()? {
        match byte {
            b'\n' | b'\r' | END => return Ok(line),
            INTERRUPT | QUIT => return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")),
            CLEAR => line.clear(),
            _ if BACKSPACE.contains(&byte) => remove_character(&mut line),
            0..0x20 => {}
            _ if line.len() <= Passphrase::LONGEST => line.push(byte),
            _ => {}
        }
    }
    Ok(line)
}

/// Removes the last character, which may be several bytes of UTF-8.
fn remove_character(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        let continues = byte & 0b1100_0000 == 0b1000_0000;
        if !continues {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::File;
    use std::io::Read;
    use std::sync::mpsc;

    /// Both ends of a terminal.
    fn terminal() -> (File, File) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(name).unwrap();
        (File::from(master), slave)
    }

    /// Prompts, told to whoever types.
    struct Told(mpsc::SyncSender<()>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            let _ = self.0.send(());
            Ok(())
        }
    }

    fn typed(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let (mut person, slave) = terminal();
        let before = tcgetattr(&slave).unwrap();
        let (told, prompt) = mpsc::sync_channel(8);
        let asking = slave.try_clone().unwrap();
        let asked = std::thread::spawn(move || ask_hidden(&asking, &mut Told(told), "passphrase"));
        prompt.recv().unwrap();
        person.write_all(bytes).unwrap();
        let line = asked.join().unwrap().map(|line| line.to_vec());
        let after = tcgetattr(&slave).unwrap();
        assert_eq!(after.local_modes, before.local_modes, "the terminal is as it was");
        // Nothing that was typed is shown: the next thing to be seen is what is written now.
        (&slave).write_all(b"!").unwrap();
        let mut shown = [0; 16];
        let length = person.read(&mut shown).unwrap();
        assert_eq!(&shown[..length], b"!");
        line
    }

    #[test]
    fn what_is_typed_is_read_and_not_shown() {
        assert_eq!(typed(b"a lamp\n").unwrap(), b"a lamp");
        assert_eq!(typed("gr\u{fc}n\r".as_bytes()).unwrap(), "gr\u{fc}n".as_bytes());
    }

    #[test]
    fn it_can_be_corrected() {
        assert_eq!(typed("a\u{e4}\u{1f4a1}\u{7f}\u{7f}b\n".as_bytes()).unwrap(), b"ab");
        assert_eq!(typed(b"wrong\x15right\n").unwrap(), b"right");
        assert_eq!(typed(b"\x7f\x7fa\n").unwrap(), b"a");
    }

    #[test]
    fn an_interrupt_ends_it_and_leaves_the_terminal_as_it_was() {
        assert_eq!(typed(b"half\x03").unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(typed(b"\x04").unwrap(), b"");
    }

    #[test]
    fn one_that_is_too_long_is_seen_to_be() {
        let mut long = vec![b'a'; Passphrase::LONGEST + 500];
        long.push(b'\n');
        assert_eq!(typed(&long).unwrap().len(), Passphrase::LONGEST + 1);
    }
}
