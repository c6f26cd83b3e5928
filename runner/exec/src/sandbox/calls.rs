//! The system calls that reading takes. All others do not exist for the command: an allow list, so that calls
//! of later kernels and of other interfaces (32 bits, x32) are closed without being named.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Bits of `clone` that ask for namespaces, in which a user has rights of an administrator.
const NAMESPACES: u64 = 0x7e02_0000;
/// Requests of `ioctl` that only ask: terminals, bytes that wait, flags of files.
const ASKS: [u64; 8] = [0x5401, 0x5413, 0x540f, 0x541b, 0x5421, 0x5450, 0x5451, 0x8008_6601];
/// Requests of `fcntl`: copies, flags, locks, sizes of pipes and seals. Not those that have signals sent to a
/// process.
const CONTROLS: [u64; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1033, 1034];
/// `AF_UNIX`, and the kind of socket that cannot be sent from to another address.
const UNIX: u64 = 1;
const STREAM: u64 = 1;
const KINDS: u64 = 0xf;

macro_rules! calls {
    ($($name:ident)*) => { [$(libc::$name),*] };
}

/// Reading, memory, time, waiting, starting programs. Not those that tell of files that may not be read:
/// extended attributes and changes (`inotify`) are beyond Landlock. Those that would change a file system are
/// Landlock's to refuse.
const ALWAYS: &[i64] = &calls! {
    SYS_read SYS_write SYS_close SYS_fstat SYS_lseek SYS_mmap SYS_mprotect SYS_munmap SYS_brk SYS_mremap SYS_msync
    SYS_mincore SYS_madvise SYS_mlock SYS_munlock SYS_membarrier SYS_memfd_create
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigpending SYS_rt_sigtimedwait SYS_rt_sigsuspend
    SYS_sigaltstack SYS_pread64 SYS_pwrite64 SYS_readv SYS_writev SYS_preadv SYS_pwritev SYS_preadv2 SYS_pwritev2
    SYS_sched_yield SYS_dup SYS_dup3 SYS_nanosleep SYS_clock_nanosleep SYS_getitimer SYS_setitimer SYS_getpid
    SYS_sendfile SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_wait4 SYS_waitid SYS_uname SYS_flock
    SYS_fsync SYS_fdatasync SYS_ftruncate SYS_truncate SYS_getcwd SYS_chdir SYS_fchdir SYS_readlinkat SYS_umask
    SYS_gettimeofday SYS_getrlimit SYS_getrusage SYS_sysinfo SYS_times SYS_getuid SYS_getgid SYS_geteuid SYS_getegid
    SYS_setpgid SYS_getppid SYS_setsid SYS_getpgid SYS_getsid SYS_getgroups SYS_getresuid SYS_getresgid SYS_capget
    SYS_statfs SYS_fstatfs SYS_getpriority SYS_sched_getparam SYS_sched_getscheduler SYS_sched_getaffinity
    SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_prctl SYS_gettid SYS_readahead
    SYS_futex SYS_set_tid_address
    SYS_set_robust_list SYS_get_robust_list SYS_restart_syscall SYS_fadvise64 SYS_timer_create SYS_timer_settime
    SYS_timer_gettime SYS_timer_delete SYS_timer_getoverrun SYS_clock_gettime SYS_clock_getres SYS_epoll_create1
    SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_openat SYS_newfstatat SYS_faccessat SYS_faccessat2
    SYS_pselect6 SYS_ppoll SYS_splice SYS_tee SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime SYS_eventfd2
    SYS_signalfd4 SYS_pipe2 SYS_getcpu SYS_getrandom
    SYS_copy_file_range SYS_statx SYS_rseq SYS_close_range SYS_openat2 SYS_getdents64 SYS_recvfrom SYS_recvmsg
    SYS_shutdown SYS_getsockopt SYS_getsockname SYS_getpeername SYS_mkdirat SYS_unlinkat SYS_renameat2 SYS_linkat
    SYS_symlinkat SYS_mknodat
};

#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &calls! {
    SYS_open SYS_stat SYS_lstat SYS_poll SYS_access SYS_pipe SYS_select SYS_dup2 SYS_alarm SYS_pause SYS_fork
    SYS_vfork SYS_getdents SYS_readlink SYS_rename SYS_renameat SYS_mkdir SYS_rmdir SYS_creat SYS_link SYS_unlink
    SYS_symlink SYS_mknod SYS_time SYS_epoll_create SYS_epoll_wait SYS_eventfd SYS_signalfd
    SYS_getpgrp SYS_arch_prctl
};
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// To its own processes alone, which Landlock sees to from its sixth version on.
const SIGNALS: &[i64] = &calls! { SYS_kill SYS_tkill SYS_tgkill };

/// Leaves this thread, and what it starts, these calls.
///
/// # Errors
/// This system has no such filters.
pub(super) fn restrict(signals_are_scoped: bool) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(&program(signals_are_scoped)?)
}

fn program(signals_are_scoped: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALWAYS.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    if signals_are_scoped {
        rules.extend(SIGNALS.iter().map(|call| (*call, Vec::new())));
    }
    let whole = SeccompCmpArgLen::Qword;
    let half = SeccompCmpArgLen::Dword;
    let is = |argument, length, how, value| SeccompCondition::new(argument, length, how, value);
    let asks = ASKS
        .iter()
        .map(|request| SeccompRule::new(vec![is(1, half.clone(), SeccompCmpOp::Eq, *request)?]))
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_ioctl, asks);
    let controls = CONTROLS
        .iter()
        .map(|request| SeccompRule::new(vec![is(1, half.clone(), SeccompCmpOp::Eq, *request)?]))
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_fcntl, controls);
    // Its own limits alone: those of its parent reach other commands.
    let own = SeccompRule::new(vec![is(0, half.clone(), SeccompCmpOp::Eq, 0)?])?;
    rules.insert(libc::SYS_prlimit64, vec![own]);
    let plain = SeccompRule::new(vec![is(0, whole.clone(), SeccompCmpOp::MaskedEq(NAMESPACES), 0)?])?;
    rules.insert(libc::SYS_clone, vec![plain]);
    let pair = SeccompRule::new(vec![
        is(0, half.clone(), SeccompCmpOp::Eq, UNIX)?,
        is(1, half, SeccompCmpOp::MaskedEq(KINDS), STREAM)?,
    ])?;
    rules.insert(libc::SYS_socketpair, vec![pair]);
    let to_its_peer = SeccompRule::new(vec![is(4, whole, SeccompCmpOp::Eq, 0)?])?;
    rules.insert(libc::SYS_sendto, vec![to_its_peer]);
    let missing = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, missing, SeccompAction::Allow, architecture)?.try_into()
}
