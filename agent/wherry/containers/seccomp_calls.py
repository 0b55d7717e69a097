"""System calls that every container may make, grouped by what they are for.

The names are the kernel's, of all architectures; a name that the running architecture lacks has no effect. What is
not here or in ``seccomp.py`` is refused: module loading, kexec, keys, user fault handling, io_uring, time setting,
namespaces and mounts without the capability, and what is yet to be invented.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FILES_OPEN = _words(
    """
    open openat openat2 creat close close_range dup dup2 dup3 pipe pipe2 memfd_create memfd_secret fcntl fcntl64
    ioctl name_to_handle_at umask flock
    """
)

FILES_READ_WRITE = _words(
    """
    read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek readahead sendfile
    sendfile64 splice tee vmsplice copy_file_range truncate truncate64 ftruncate ftruncate64 fallocate fadvise64
    fadvise64_64 sync syncfs fsync fdatasync sync_file_range cachestat
    """
)

FILES_NAMES = _words(
    """
    access faccessat faccessat2 chdir fchdir getcwd mkdir mkdirat rmdir mknod mknodat link linkat unlink unlinkat
    symlink symlinkat readlink readlinkat rename renameat renameat2 getdents getdents64
    """
)

FILES_METADATA = _words(
    """
    stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx statfs statfs64 fstatfs fstatfs64 chmod
    fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 utime utimes futimesat
    utimensat utimensat_time64 getxattr getxattrat lgetxattr fgetxattr setxattr setxattrat lsetxattr fsetxattr
    listxattr listxattrat llistxattr flistxattr removexattr removexattrat lremovexattr fremovexattr
    """
)

FILES_WATCH = _words("inotify_add_watch inotify_init inotify_init1 inotify_rm_watch fanotify_mark")

MOUNTS_READ = _words("listmount statmount")

ASYNCHRONOUS_IO = _words("io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit")

WAITING = _words(
    """
    poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl
    epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 pause
    """
)

NETWORK = _words(
    """
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
    recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair
    """
)

MEMORY = _words(
    """
    brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall mseal
    remap_file_pages map_shadow_stack membarrier pkey_alloc pkey_free pkey_mprotect
    """
)

SYSTEM_V = _words(
    """
    ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
    """
)

MESSAGE_QUEUES = _words(
    """
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
    mq_unlink
    """
)

PROCESSES = _words(
    """
    execve execveat exit exit_group fork vfork wait4 waitid waitpid getpid getppid gettid getpgid getpgrp setpgid
    getsid setsid pidfd_open process_mrelease prctl set_tid_address get_thread_area set_thread_area get_robust_list
    set_robust_list rseq restart_syscall getcpu seccomp landlock_add_rule landlock_create_ruleset
    landlock_restrict_self uretprobe
    """
)

FUTEXES = _words("futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake")

SIGNALS = _words(
    """
    kill tkill tgkill pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
    rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn
    """
)

IDENTITY = _words(
    """
    getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32
    getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid
    setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capget capset
    """
)

SCHEDULING = _words(
    """
    sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield getpriority setpriority ioprio_get ioprio_set
    """
)

LIMITS = _words("getrlimit ugetrlimit setrlimit prlimit64 getrusage times")

TIME = _words(
    """
    time gettimeofday nanosleep clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
    clock_nanosleep_time64 clock_adjtime clock_adjtime64 adjtimex alarm getitimer setitimer timer_create
    timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
    timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
    """
)

SYSTEM = _words("uname sysinfo getrandom riscv_hwprobe")

ALWAYS: tuple[str, ...] = tuple(
    name
    for group in (
        FILES_OPEN, FILES_READ_WRITE, FILES_NAMES, FILES_METADATA, FILES_WATCH, MOUNTS_READ, ASYNCHRONOUS_IO, WAITING,
        NETWORK, MEMORY, SYSTEM_V, MESSAGE_QUEUES, PROCESSES, FUTEXES, SIGNALS, IDENTITY, SCHEDULING, LIMITS, TIME,
        SYSTEM,
    )
    for name in group
)  # fmt: skip

TRACING = ("ptrace", "process_vm_readv", "process_vm_writev")
"""Safe with a filter since Linux 4.8, where a tracer can no longer change a call after it was checked."""

BY_CAPABILITY: dict[str, tuple[str, ...]] = {
    "CAP_DAC_READ_SEARCH": ("open_by_handle_at",),
    "CAP_SYS_ADMIN": (
        "mount", "umount", "umount2", "move_mount", "mount_setattr", "open_tree", "fsopen", "fsconfig", "fsmount",
        "fspick", "clone", "clone3", "unshare", "setns", "sethostname", "setdomainname", "quotactl", "quotactl_fd",
        "bpf", "perf_event_open", "fanotify_init", "lookup_dcookie", "syslog",
        "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr",
    ),
    "CAP_SYS_BOOT": ("reboot",),
    "CAP_SYS_CHROOT": ("chroot",),
    "CAP_SYS_MODULE": ("init_module", "finit_module", "delete_module"),
    "CAP_SYS_PACCT": ("acct",),
    "CAP_SYS_PTRACE": ("kcmp", "pidfd_getfd", "process_madvise", *TRACING),
    "CAP_SYS_RAWIO": ("iopl", "ioperm"),
    "CAP_SYS_TIME": ("settimeofday", "stime", "clock_settime", "clock_settime64"),
    "CAP_SYS_TTY_CONFIG": ("vhangup",),
    "CAP_SYS_NICE": ("get_mempolicy", "set_mempolicy", "set_mempolicy_home_node", "mbind"),
    "CAP_SYSLOG": ("syslog",),
    "CAP_BPF": ("bpf",),
    "CAP_PERFMON": ("perf_event_open",),
}  # fmt: skip
"""Calls that come with a capability: without it they would fail anyway or open more than they should."""

BY_MACHINE: dict[str, tuple[str, ...]] = {
    "x86_64": ("arch_prctl", "modify_ldt"),
    "aarch64": (
        "arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2", "breakpoint", "cacheflush", "set_tls",
    ),
}  # fmt: skip
"""Calls that only one machine (``uname -m``) has."""
