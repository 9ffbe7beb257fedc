//! [`Launcher`] → the bytes of a static program of 2 kB that starts a script of the closure without a
//! shell. Begin at [`launcher`].
//!
//! It finds its own folder as the entry stub does (through links, by PATH, without /proc) and
//! replaces itself: `<folder>/NAME a b` becomes `<folder>/PROGRAM <folder>/SCRIPTS/NAME a b`. The
//! environment is passed on untouched. Its name is that of the file behind every symbolic link.
//!
//! A second name for a *program* (an entry that runs `bin/python3`) needs no launcher: a relative
//! symbolic link beside it works everywhere the program does, starts nothing twice, and keeps
//! `/proc/self/exe` right. Only programs that decide by argv\[0] what they are (busybox) want a
//! launcher without scripts, which gives them the name they expect.

use super::image::{self, EXECUTE, PT_GNU_STACK, PT_LOAD, READ, Segment, WRITE};
use super::{ElfError, Machine};

/// What a launcher starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// The program, relative to the launcher's folder: `python3`.
    pub program: String,
    /// The folder of the scripts, relative to the launcher's: `../libexec/scripts`. The script has the
    /// launcher's own name. `None`: no script, the program gets the arguments as they are.
    pub scripts: Option<String>,
}

const X86_64: &[u8] = include_bytes!("launcher/x86_64.bin");
const AARCH64: &[u8] = include_bytes!("launcher/aarch64.bin");
const ADDRESS: u64 = 0x40_0000;
/// ELF header and two program headers.
const CODE_AT: usize = image::HEADER_SIZE + 2 * image::SEGMENT_SIZE;

/// The launcher as a file. The same for every script, as it looks up its own name.
pub fn launcher(machine: Machine, launcher: &Launcher) -> Result<Vec<u8>, ElfError> {
    let (number, page, code) = match machine {
        Machine::X86_64 => (62, 4096, X86_64),
        // Its kernels have pages of up to 64 kB.
        Machine::Aarch64 => (183, 0x1_0000, AARCH64),
        Machine::Other(_) => {
            let machine = machine.to_string();
            return Err(ElfError::NoStubFor { machine });
        }
    };
    let mut image = code.to_vec();
    let parameters = image.len();
    image.resize(parameters + 16, 0);
    let program = add(&mut image, parameters, &launcher.program)?;
    image::put(&mut image, parameters, &program.to_le_bytes())?;
    if let Some(scripts) = &launcher.scripts {
        let folder = format!("{}/", scripts.trim_end_matches('/'));
        let scripts = add(&mut image, parameters, &folder)?;
        image::put(&mut image, parameters + 4, &scripts.to_le_bytes())?;
    }
    Ok(program_of(&image, number, page))
}

fn add(image: &mut Vec<u8>, parameters: usize, value: &str) -> Result<u32, ElfError> {
    let refuse = |why| ElfError::Parameter {
        what: "a path in a launcher",
        value: value.to_owned(),
        why,
    };
    if value.is_empty() || value.starts_with('/') {
        return Err(refuse("not a relative path"));
    }
    if value.contains('\0') {
        return Err(refuse("it holds a NUL byte"));
    }
    let at = u32::try_from(image.len() - parameters)
        .ok()
        .filter(|_| value.len() <= 1024);
    image.extend(value.as_bytes());
    image.push(0);
    at.ok_or_else(|| refuse("longer than 1024 bytes"))
}

/// A static program of one read-only segment, its code first.
fn program_of(code: &[u8], machine: u16, page: u64) -> Vec<u8> {
    let size = (CODE_AT + code.len()) as u64;
    let mut out = Vec::with_capacity(CODE_AT + code.len());
    out.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(2u16.to_le_bytes()); // ET_EXEC
    out.extend(machine.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    for word in [ADDRESS + CODE_AT as u64, image::HEADER_SIZE as u64, 0] {
        out.extend(word.to_le_bytes()); // entry, program headers, no section headers
    }
    out.extend(0u32.to_le_bytes());
    let sizes = [image::HEADER_SIZE, image::SEGMENT_SIZE, 2, 64, 0, 0];
    for field in sizes {
        out.extend((field as u16).to_le_bytes());
    }
    let all = Segment {
        kind: PT_LOAD,
        flags: READ | EXECUTE,
        offset: 0,
        address: ADDRESS,
        file_size: size,
        memory_size: size,
        align: page,
    };
    all.write(&mut out);
    let stack = Segment {
        kind: PT_GNU_STACK,
        flags: READ | WRITE,
        offset: 0,
        address: 0,
        file_size: 0,
        memory_size: 0,
        align: 16,
    };
    stack.write(&mut out);
    out.extend(code);
    out
}
