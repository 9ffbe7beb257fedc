//! System calls that no build needs, refused: a program in classic BPF that the kernel runs before
//! each call. Begin at [`program`].
//!
//! What namespaces already forbid is refused once more, since most ways out of a sandbox led through
//! one of these calls. Calls that programs try and do without are answered "not implemented"
//! (ENOSYS), as an old kernel would, so that they take their other way; the rest is EPERM.
//!
//! - `clone3` keeps its flags where a filter cannot look: glibc then uses `clone`. So does `openat2`.
//! - Set-user-id and set-group-id bits are refused wherever a mode is given, with EPERM. Dropping them
//!   quietly is what a filter cannot do: it can only leave out the whole call, and a file would keep
//!   its old mode while the build believes otherwise. `install -m 4755` fails, and says why.
//! - Sockets are of the families that a network namespace holds. vsock and others know none.
//! - A program of another ABI (i386 on x86_64, arm on aarch64) is killed: its numbers mean other calls.
//!
//! A call that is decided by its number alone is looked up in a table that the kernel makes of this
//! program, so it costs nothing; arguments are looked at for a dozen only.

use nix::libc;
use nix::libc::sock_filter;

/// What a program of this processor is to the kernel's audit.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else {
    0xc000_00b7
};

/// Calls of the x32 ABI have this bit.
const X32: u32 = 0x4000_0000;

// The fields of `struct seccomp_data`. Arguments are of eight bytes, the lower half first.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

// Numbers that are younger than the table of some C library, the same on every processor.
const FCHMODAT2: i64 = 452;
const OPEN_TREE_ATTR: i64 = 467;

const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
const CREATES: u32 = (libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY) as u32;
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;
/// `CLONE_NEWTIME`: a bit that `clone` has for a signal, `unshare` for this.
const NEW_TIME: u32 = 0x80;

const FAMILIES: [libc::c_int; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// The default, addresses that are not random, and the question what it is now.
const PERSONALITIES: [u32; 3] = [0, libc::ADDR_NO_RANDOMIZE as u32, u32::MAX];

/// Refused with "not permitted".
const FORBIDDEN: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// Answered as a kernel does that has no such call.
const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_openat2,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
];

/// Calls that create a file if their flags say so: where flags and mode are.
const OPENING: &[(i64, u32, u32)] = &[
    (libc::SYS_openat, 2, 3),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1, 2),
];

/// Calls with a mode, and where it is.
const MODES: &[(i64, u32)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (FCHMODAT2, 2),
    (libc::SYS_mknodat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
];

/// Calls that make nodes, and where their mode is.
const NODES: &[(i64, u32)] = &[
    (libc::SYS_mknodat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
];

/// The program for this processor; `None` where we have none for it.
pub(super) fn program() -> Option<Vec<sock_filter>> {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return None;
    }
    let mut code = Code::default();
    code.load(ARCH);
    code.unless_equal(ARCHITECTURE, libc::SECCOMP_RET_KILL_PROCESS);
    code.load(NUMBER);
    if cfg!(target_arch = "x86_64") {
        code.if_at_least(X32, refused(libc::ENOSYS));
    }
    code.search(&rules());
    Some(code.0)
}

/// What is said of each call that is not simply allowed, by number. What a rule does not decide is allowed.
fn rules() -> Vec<(u32, Code)> {
    let never = refused(libc::EPERM);
    let mut rules = Vec::new();
    let mut on = |call: i64, judge: &dyn Fn(&mut Code)| {
        let mut body = Code::default();
        judge(&mut body);
        // What is compared next is the number: where a rule has loaded something else, it has to end.
        if !body.ends() {
            body.always(libc::SECCOMP_RET_ALLOW);
        }
        rules.push((call as u32, body));
    };
    for (call, flags, mode) in OPENING {
        on(*call, &|code| {
            code.load(argument(*flags));
            code.unless_any(CREATES, libc::SECCOMP_RET_ALLOW);
            code.load(argument(*mode));
            code.if_any(SET_ID, never);
        });
    }
    on(libc::SYS_clone, &|code| {
        code.load(argument(0));
        code.if_any(NAMESPACES, never);
    });
    on(libc::SYS_unshare, &|code| {
        code.load(argument(0));
        code.if_any(NAMESPACES | NEW_TIME, never);
    });
    on(libc::SYS_ioctl, &|code| {
        // To type on a terminal in somebody else's name.
        code.load(argument(1));
        code.if_equal(libc::TIOCSTI as u32, never);
        code.if_equal(libc::TIOCLINUX as u32, never);
    });
    on(libc::SYS_socket, &|code| {
        code.load(argument(0));
        for family in FAMILIES {
            code.if_equal(family as u32, libc::SECCOMP_RET_ALLOW);
        }
        code.always(refused(libc::EAFNOSUPPORT));
    });
    on(libc::SYS_personality, &|code| {
        code.load(argument(0));
        for one in PERSONALITIES {
            code.if_equal(one, libc::SECCOMP_RET_ALLOW);
        }
        code.always(never);
    });
    for (call, mode) in MODES {
        let makes_nodes = NODES.iter().any(|(node, _)| node == call);
        on(*call, &|code| {
            code.load(argument(*mode));
            code.if_any(SET_ID, never);
            if makes_nodes {
                code.only(libc::S_IFMT);
                code.if_equal(libc::S_IFCHR, never);
                code.if_equal(libc::S_IFBLK, never);
            }
        });
    }
    for (calls, answer) in [(FORBIDDEN, never), (ABSENT, refused(libc::ENOSYS))] {
        for call in calls {
            on(*call, &|code| code.always(answer));
        }
    }
    rules.sort_by_key(|(call, _)| *call);
    rules
}

/// The call is not made; the program sees this error.
fn refused(errno: libc::c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

/// Instructions, each with one thing that it does.
#[derive(Default)]
struct Code(Vec<sock_filter>);

impl Code {
    fn push(&mut self, code: u32, k: u32, jt: u8, jf: u8) {
        let code = code as u16;
        self.0.push(sock_filter { code, jt, jf, k });
    }

    /// The word at this offset becomes what is compared.
    fn load(&mut self, offset: u32) {
        self.push(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    }

    /// Only these bits of it count from here on.
    fn only(&mut self, mask: u32) {
        self.push(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask, 0, 0);
    }

    fn always(&mut self, answer: u32) {
        self.push(libc::BPF_RET | libc::BPF_K, answer, 0, 0);
    }

    /// Whether the last instruction is an answer whatever was compared before it.
    fn ends(&self) -> bool {
        let decides = |one: &sock_filter| u32::from(one.code) == libc::BPF_RET | libc::BPF_K;
        let is_skipped = |one: &sock_filter| u32::from(one.code) & 7 == libc::BPF_JMP;
        match self.0.as_slice() {
            [.., before, last] => decides(last) && !is_skipped(before),
            [last] => decides(last),
            [] => false,
        }
    }

    fn jump(&mut self, test: u32, value: u32, if_so: u8, if_not: u8) {
        self.push(libc::BPF_JMP | test | libc::BPF_K, value, if_so, if_not);
    }

    fn if_equal(&mut self, value: u32, answer: u32) {
        self.jump(libc::BPF_JEQ, value, 0, 1);
        self.always(answer);
    }

    fn unless_equal(&mut self, value: u32, answer: u32) {
        self.jump(libc::BPF_JEQ, value, 1, 0);
        self.always(answer);
    }

    fn if_at_least(&mut self, value: u32, answer: u32) {
        self.jump(libc::BPF_JGE, value, 0, 1);
        self.always(answer);
    }

    fn if_any(&mut self, bits: u32, answer: u32) {
        self.jump(libc::BPF_JSET, bits, 0, 1);
        self.always(answer);
    }

    fn unless_any(&mut self, bits: u32, answer: u32) {
        self.jump(libc::BPF_JSET, bits, 1, 0);
        self.always(answer);
    }

    /// Finds what is said of the call whose number is loaded, among rules in the order of their numbers; a
    /// call of which nothing is said is allowed. The kernel asks about every number when a filter is put up,
    /// so it halves what is left instead of asking for one after the other; and it compiles what it is given, so
    /// the last few are asked for one after the other all the same.
    fn search(&mut self, rules: &[(u32, Code)]) {
        const FEW: usize = 4;
        if rules.len() <= FEW {
            for (call, body) in rules {
                self.jump(libc::BPF_JEQ, *call, 0, body.0.len() as u8);
                self.0.extend_from_slice(&body.0);
            }
            return self.always(libc::SECCOMP_RET_ALLOW);
        }
        let (lower, upper) = rules.split_at(rules.len() / 2);
        let mut below = Code::default();
        below.search(lower);
        let (first, over) = (upper[0].0, below.0.len());
        match u8::try_from(over) {
            Ok(over) => self.jump(libc::BPF_JGE, first, over, 0),
            // Too far for a comparison, which has a byte for that.
            Err(_) => {
                self.jump(libc::BPF_JGE, first, 0, 1);
                self.push(libc::BPF_JMP | libc::BPF_JA, over as u32, 0, 0);
            }
        }
        self.0.append(&mut below.0);
        self.search(upper);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do: the few instructions that are used, one after the other.
    fn verdict(arch: u32, number: i64, arguments: [u64; 6]) -> u32 {
        let mut data = (number as u32).to_le_bytes().to_vec();
        data.extend(arch.to_le_bytes());
        data.extend([0; 8]);
        data.extend(arguments.iter().flat_map(|one| one.to_le_bytes()));
        let code = program().expect("a program for this processor");
        let (mut at, mut word) = (0, 0_u32);
        loop {
            let sock_filter { code, jt, jf, k } = code[at];
            at += 1;
            let jump = match u32::from(code) {
                0x20 => {
                    let four = data[k as usize..][..4].try_into().expect("four bytes");
                    word = u32::from_le_bytes(four);
                    continue;
                }
                0x54 => {
                    word &= k;
                    continue;
                }
                0x06 => return k,
                0x05 => {
                    at += k as usize;
                    continue;
                }
                0x15 => word == k,
                0x35 => word >= k,
                0x45 => word & k != 0,
                other => panic!("an instruction {other:#x}"),
            };
            at += usize::from(if jump { jt } else { jf });
        }
    }

    fn call(number: i64, arguments: &[u64]) -> u32 {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        verdict(ARCHITECTURE, number, all)
    }

    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;

    #[test]
    fn a_program_of_another_abi_is_killed_or_finds_nothing() {
        let read = libc::SYS_read;
        assert_eq!(
            verdict(0x4000_0003, read, [0; 6]),
            libc::SECCOMP_RET_KILL_PROCESS
        );
        if cfg!(target_arch = "x86_64") {
            assert_eq!(call(i64::from(X32) + read, &[]), refused(libc::ENOSYS));
        }
        assert_eq!(call(read, &[]), ALLOWED);
    }

    #[test]
    fn set_id_bits_are_refused_where_a_mode_is_meant_only() {
        let never = refused(libc::EPERM);
        for (number, mode) in MODES {
            let mut arguments = [!0o6000 & !u64::from(libc::S_IFMT); 6];
            assert_eq!(verdict(ARCHITECTURE, *number, arguments), ALLOWED);
            for bits in [0o4755, 0o2755, 0o6000] {
                arguments[*mode as usize] = bits;
                assert_eq!(verdict(ARCHITECTURE, *number, arguments), never);
            }
        }
        let create = libc::O_CREAT as u64;
        // Without O_CREAT the mode is whatever a register holds.
        assert_eq!(call(libc::SYS_openat, &[0, 0, 0, 0o4755]), ALLOWED);
        assert_eq!(call(libc::SYS_openat, &[0, 0, create, 0o0755]), ALLOWED);
        assert_eq!(call(libc::SYS_openat, &[0, 0, create, 0o4755]), never);
        let nameless = libc::O_TMPFILE as u64;
        assert_eq!(call(libc::SYS_openat, &[0, 0, nameless, 0o4755]), never);
        assert_eq!(
            call(libc::SYS_openat, &[0, 0, libc::O_DIRECTORY as u64, 0o4755]),
            ALLOWED
        );
    }

    #[test]
    fn processes_and_threads_can_be_made_and_namespaces_cannot() {
        let thread = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND;
        assert_eq!(call(libc::SYS_clone, &[thread as u64]), ALLOWED);
        assert_eq!(call(libc::SYS_clone, &[libc::SIGCHLD as u64]), ALLOWED);
        for namespace in [libc::CLONE_NEWUSER, libc::CLONE_NEWNET, libc::CLONE_NEWNS] {
            assert_eq!(
                call(libc::SYS_clone, &[namespace as u64]),
                refused(libc::EPERM)
            );
            assert_eq!(
                call(libc::SYS_unshare, &[namespace as u64]),
                refused(libc::EPERM)
            );
        }
        assert_eq!(
            call(libc::SYS_unshare, &[libc::CLONE_FILES as u64]),
            ALLOWED
        );
        assert_eq!(call(libc::SYS_clone3, &[]), refused(libc::ENOSYS));
    }

    #[test]
    fn sockets_personalities_and_nodes_are_of_the_harmless_kinds() {
        assert_eq!(call(libc::SYS_socket, &[libc::AF_UNIX as u64]), ALLOWED);
        let vsock = call(libc::SYS_socket, &[libc::AF_VSOCK as u64]);
        assert_eq!(vsock, refused(libc::EAFNOSUPPORT));
        assert_eq!(call(libc::SYS_personality, &[0xffff_ffff]), ALLOWED);
        assert_eq!(call(libc::SYS_personality, &[8]), refused(libc::EPERM));
        let (at, null) = (libc::SYS_mknodat, u64::from(libc::S_IFCHR));
        assert_eq!(call(at, &[0, 0, null | 0o644]), refused(libc::EPERM));
        assert_eq!(call(at, &[0, 0, u64::from(libc::S_IFIFO) | 0o644]), ALLOWED);
        assert_eq!(
            call(libc::SYS_ioctl, &[0, libc::TIOCSTI]),
            refused(libc::EPERM)
        );
    }

    #[test]
    fn of_every_number_is_said_what_the_lists_say() {
        for number in 0..600_i64 {
            let wanted = match number {
                _ if FORBIDDEN.contains(&number) => refused(libc::EPERM),
                _ if ABSENT.contains(&number) => refused(libc::ENOSYS),
                libc::SYS_socket => continue,
                _ => ALLOWED,
            };
            assert_eq!(call(number, &[]), wanted, "call {number}");
        }
    }

    #[test]
    fn it_is_short_and_has_one_rule_for_a_call() {
        let length = program().expect("a program").len();
        assert!(length < 350, "{length}");
        let numbers: Vec<u32> = rules().iter().map(|(call, _)| *call).collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "two rules for one call"
        );
    }
}
