//! What the two sides of a sandbox tell each other: a [`Spec`] inwards, [`Message`]s outwards.
//! Begin at [`Message`].
//!
//! Both sides are the same executable, so the encoding has no history: numbers of eight bytes,
//! strings with their length before them, and the version of the program in front.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use super::Level;
use super::emulator::Emulator;
use super::spec::{Bind, Identity, Limits, Root, Spec};

/// One message of the inner side: one packet on the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// From the program's own process, just before it becomes the program. The packet's
    /// credentials tell its process id as seen outside.
    Starting(Level),
    /// The program runs.
    Started,
    /// The program exited with this code.
    Exited(i32),
    /// The program was ended by this signal.
    Signalled(i32),
    /// There will be no program.
    Failed(Failure),
}

/// What went wrong inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) stage: Stage,
    pub(super) errno: i32,
    pub(super) what: String,
}

/// In which part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Namespaces,
    Proc,
    Source,
    Mount,
    Program,
    System,
}

const STAGES: [Stage; 6] = [
    Stage::Namespaces,
    Stage::Proc,
    Stage::Source,
    Stage::Mount,
    Stage::Program,
    Stage::System,
];

impl Failure {
    pub(super) fn new(stage: Stage, what: impl Into<String>, errno: rustix::io::Errno) -> Failure {
        Failure {
            stage,
            errno: errno.raw_os_error(),
            what: what.into(),
        }
    }
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        match self {
            Message::Starting(level) => to.number(0).number(*level as u64),
            Message::Started => to.number(1),
            Message::Exited(code) => to.number(2).number(*code as u64),
            Message::Signalled(signal) => to.number(3).number(*signal as u64),
            Message::Failed(Failure { stage, errno, what }) => {
                let stage = STAGES
                    .iter()
                    .position(|one| one == stage)
                    .unwrap_or_default();
                // A packet has a limited size; a path that long is of no use to a reader either.
                let what = &what.as_bytes()[..what.len().min(8192)];
                to.number(4)
                    .number(stage as u64)
                    .number(*errno as u64)
                    .bytes(what)
            }
        };
        to.0
    }

    pub(super) fn decode(packet: &[u8]) -> Option<Message> {
        let mut from = Reader(packet);
        Some(match from.number()? {
            0 => Message::Starting(*Level::ALL.get(from.number()? as usize)?),
            1 => Message::Started,
            2 => Message::Exited(from.number()? as i32),
            3 => Message::Signalled(from.number()? as i32),
            4 => Message::Failed(Failure {
                stage: *STAGES.get(from.number()? as usize)?,
                errno: from.number()? as i32,
                what: String::from_utf8_lossy(from.bytes()?).into_owned(),
            }),
            _ => return None,
        })
    }
}

impl Spec {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Spec {
            root,
            binds,
            files,
            tmp,
            noexec,
            proc,
            dev,
            program,
            name,
            args,
            env,
            cwd,
            network,
            emulator,
            identity,
            apart,
            hardened,
            same_addresses,
            hostname,
            umask,
            cpus,
            privileges,
            terminal,
            limits,
        } = self;
        let mut to = Writer::default();
        to.bytes(env!("CARGO_PKG_VERSION").as_bytes());
        match root {
            Root::Empty => to.number(0),
            Root::Tree(path) => to.number(1).bytes(path.as_str().as_bytes()),
            Root::Host => to.number(2),
        };
        to.list(binds, |to, Bind { host, at, writable }| {
            to.bytes(host.as_str().as_bytes())
                .bytes(at.as_str().as_bytes())
                .flag(*writable);
        });
        to.list(files, |to, (at, content)| {
            to.bytes(at.as_str().as_bytes()).bytes(content);
        });
        to.flag(*tmp)
            .flag(*noexec)
            .flag(*proc)
            .flag(*dev)
            .bytes(program.as_str().as_bytes());
        to.list(name.as_slice(), |to, name| {
            to.bytes(name.as_bytes());
        });
        to.list(args, |to, arg| {
            to.bytes(arg.as_bytes());
        });
        to.list(env, |to, (name, value)| {
            to.bytes(name.as_bytes()).bytes(value.as_bytes());
        });
        to.bytes(cwd.as_str().as_bytes())
            .flag(*network)
            .number(match identity {
                Identity::User => 0,
                Identity::Root => 1,
                Identity::Other(number) => 2 + u64::from(*number),
            })
            .flag(*apart)
            .flag(*hardened)
            .flag(*same_addresses)
            .bytes(hostname.as_bytes())
            .number((*umask).into())
            .limit(cpus.map(u64::from))
            .flag(*privileges)
            .flag(*terminal);
        to.list(emulator.as_slice(), |to, Emulator { program, machine }| {
            to.bytes(program.as_str().as_bytes())
                .number((*machine).into());
        });
        let Limits {
            memory,
            processes,
            open_files,
            file_size,
            disk,
            tmp,
            output,
            wall,
        } = limits;
        to.limit(*memory)
            .limit(*processes)
            .number(*open_files)
            .limit(*file_size)
            .limit(*disk)
            .number(*tmp);
        to.number(*output)
            .limit(wall.map(|wall| wall.as_millis() as u64));
        to.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Spec> {
        let mut from = Reader(bytes);
        if from.bytes()? != env!("CARGO_PKG_VERSION").as_bytes() {
            return None;
        }
        let spec = Spec {
            root: match from.number()? {
                0 => Root::Empty,
                1 => Root::Tree(from.text()?.into()),
                2 => Root::Host,
                _ => return None,
            },
            binds: from.list(|from| {
                Some(Bind {
                    host: from.text()?.into(),
                    at: from.text()?.into(),
                    writable: from.flag()?,
                })
            })?,
            files: from.list(|from| Some((from.text()?.into(), from.bytes()?.to_vec())))?,
            tmp: from.flag()?,
            noexec: from.flag()?,
            proc: from.flag()?,
            dev: from.flag()?,
            program: from.text()?.into(),
            name: from.list(Reader::word)?.pop(),
            args: from.list(Reader::word)?,
            env: from.list(|from| Some((from.word()?, from.word()?)))?,
            cwd: from.text()?.into(),
            network: from.flag()?,
            identity: match from.number()? {
                0 => Identity::User,
                1 => Identity::Root,
                more => Identity::Other((more - 2).try_into().ok()?),
            },
            apart: from.flag()?,
            hardened: from.flag()?,
            same_addresses: from.flag()?,
            hostname: from.text()?.to_owned(),
            umask: from.number()?.try_into().ok()?,
            cpus: match from.limit()? {
                Some(count) => Some(count.try_into().ok()?),
                None => None,
            },
            privileges: from.flag()?,
            terminal: from.flag()?,
            emulator: from
                .list(|from| {
                    Some(Emulator {
                        program: from.text()?.into(),
                        machine: from.number()?.try_into().ok()?,
                    })
                })?
                .pop(),
            limits: Limits {
                memory: from.limit()?,
                processes: from.limit()?,
                open_files: from.number()?,
                file_size: from.limit()?,
                disk: from.limit()?,
                tmp: from.number()?,
                output: from.number()?,
                wall: from.limit()?.map(Duration::from_millis),
            },
        };
        from.0.is_empty().then_some(spec)
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) -> &mut Writer {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn flag(&mut self, flag: bool) -> &mut Writer {
        self.number(flag.into())
    }

    fn limit(&mut self, limit: Option<u64>) -> &mut Writer {
        self.flag(limit.is_some()).number(limit.unwrap_or_default())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Writer {
        self.number(bytes.len() as u64).0.extend_from_slice(bytes);
        self
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Writer, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| each(self, item));
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn limit(&mut self) -> Option<Option<u64>> {
        let (some, number) = (self.flag()?, self.number()?);
        Some(some.then_some(number))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn word(&mut self) -> Option<OsString> {
        Some(OsString::from_vec(self.bytes()?.to_vec()))
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        // Grows by what is really there, whatever the count claims.
        (0..self.number()?).map(|_| each(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word() -> impl Strategy<Value = OsString> {
        prop::collection::vec(any::<u8>(), 0..20).prop_map(OsString::from_vec)
    }

    prop_compose! {
        fn spec()(
            root in prop_oneof![Just(Root::Empty), Just(Root::Host), ".*".prop_map(|p| Root::Tree(p.into()))],
            binds in prop::collection::vec((".*", ".*", any::<bool>()), 0..4),
            files in prop::collection::vec((".*", any::<Vec<u8>>()), 0..3),
            (tmp, noexec, proc, dev) in any::<(bool, bool, bool, bool)>(),
            (network, is_root, privileges, terminal) in any::<(bool, bool, bool, bool)>(),
            (apart, hardened, same_addresses) in any::<(bool, bool, bool)>(),
            (hostname, umask) in (".*", any::<u32>()),
            (cpus, other, disk) in any::<(Option<u32>, Option<u32>, Option<u64>)>(),
            (program, cwd) in (".*", ".*"),
            name in prop::option::of(word()),
            args in prop::collection::vec(word(), 0..5),
            env in prop::collection::vec((word(), word()), 0..5),
            (memory, processes, file_size) in any::<(Option<u64>, Option<u64>, Option<u64>)>(),
            (open_files, space, output, wall) in any::<(u64, u64, u64, Option<u64>)>(),
        ) -> Spec {
            Spec {
                root,
                binds: binds
                    .into_iter()
                    .map(|(host, at, writable)| Bind { host: host.into(), at: at.into(), writable })
                    .collect(),
                files: files.into_iter().map(|(at, content)| (at.into(), content)).collect(),
                tmp, noexec, proc, dev,
                program: program.into(),
                name, args, env,
                cwd: cwd.into(),
                network,
                emulator: is_root.then(|| Emulator {
                    program: "/a b/qemu".into(),
                    machine: 183,
                }),
                identity: match other {
                    Some(number) => Identity::Other(number),
                    None if is_root => Identity::Root,
                    None => Identity::User,
                },
                apart, hardened, same_addresses, hostname, umask, cpus,
                privileges,
                terminal,
                limits: Limits {
                    memory, processes, open_files, file_size, disk, tmp: space, output,
                    wall: wall.map(Duration::from_millis),
                },
            }
        }
    }

    proptest! {
        #[test]
        fn the_helper_reads_the_very_spec_that_was_sent(spec in spec()) {
            prop_assert_eq!(Spec::decode(&spec.encode()), Some(spec));
        }

        #[test]
        fn a_cut_or_lengthened_spec_is_refused(spec in spec(), cut in any::<prop::sample::Index>()) {
            let mut bytes = spec.encode();
            prop_assert_eq!(Spec::decode(&bytes[..cut.index(bytes.len())]), None);
            bytes.push(0);
            prop_assert_eq!(Spec::decode(&bytes), None);
        }
    }

    #[test]
    fn every_message_survives_its_packet() {
        let failed = STAGES.map(|stage| {
            Message::Failed(Failure {
                stage,
                errno: 13,
                what: "é".into(),
            })
        });
        let others = [
            Message::Starting(Level::Filtered),
            Message::Started,
            Message::Exited(-1),
            Message::Signalled(9),
        ];
        for message in failed.into_iter().chain(others) {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }
}
