/* Programs that are not as usual, one scene for each argument. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "filter.h"
#include "scene.h"

static void use(void)
{
    int fd = connected("192.0.2.1", 80), copy = dup(fd);
    EXPECT(echoes(fd) && peer_is(copy, "192.0.2.1", 80));
    EXPECT(close(fd) == 0 && close(copy) == 0 && is_forgotten(fd) && is_forgotten(copy));
}

/* Sends a connection to the program itself, which must get it back as what it was. */
static int comes_back(int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
        .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    int pair[2], got;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || sendmsg(pair[0], &message, 0) != 1
        || recvmsg(pair[1], &message, 0) != 1)
        return 0;
    memcpy(&got, CMSG_DATA(header), sizeof got);
    return peer_is(got, "192.0.2.1", 80) && close(got) == 0 && close(pair[0]) == 0 && close(pair[1]) == 0;
}

/* As programs with an allocator of their own do, from many threads. */
static void *use_and_allocate(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        char *memory = malloc(1 << 16);
        int fd = connected("192.0.2.1", 80);
        EXPECT(memory && echoes(fd));
        FILE *stream = fdopen(fd, "r+");
        EXPECT(stream && fclose(stream) == 0);
        free(memory);
    }
    return NULL;
}

static void scene_allocator(void)
{
    use();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_create(&threads[i], NULL, use_and_allocate, NULL) == 0);
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
}

/* Libc's own functions, with another library between. */
static void scene_interposer(void)
{
    int fds[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    struct sockaddr_un nowhere = { .sun_family = AF_UNIX, .sun_path = "/nowhere" };
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(connect(other, (struct sockaddr *)&nowhere, sizeof nowhere) < 0 && errno == ENOENT);
    EXPECT(shutdown(fds[0], SHUT_WR) == 0);
    EXPECT(close(other) == 0 && close(fds[0]) == 0 && close(fds[1]) == 0);
    use();
}

/* A library behind the hooks that connects by itself. */
static void scene_behind(void)
{
    int (*reach_behind)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_DEFAULT, "interposer_reach");
    struct sockaddr_in address = v4("192.0.2.1", 80), here = v4("127.0.0.1", 9);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(reach_behind && reach_behind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && echoes(fd) && close(fd) == 0);
    FAILS(reach_behind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&here, sizeof here), EPERM);
}

/* Before every constructor, also the library's. */
static int before_all = -1;

static void first(int count, char **arguments, char **environment)
{
    (void)environment;
    if (count == 2 && strcmp(arguments[1], "before-constructors") == 0) {
        before_all = connected("192.0.2.1", 80);
        EXPECT(echoes(before_all) && dup2(before_all, 500) == 500 && close(500) == 0);
    }
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(int, char **, char **) = first;

static void scene_before_constructors(void)
{
    EXPECT(before_all >= 0 && peer_is(before_all, "192.0.2.1", 80) && echoes(before_all));
    EXPECT(close(before_all) == 0 && is_forgotten(before_all));
    use();
}

static void at_the_end(void)
{
    use();
}

__attribute__((destructor)) static void last(void)
{
    if (before_all == -2)
        use();
}

static void scene_at_exit(void)
{
    before_all = -2;
    EXPECT(atexit(at_the_end) == 0);
}

static void *forever(void *unused)
{
    (void)unused;
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0), copy = dup(fd);
        if (fd >= 0)
            reach(fd, "192.0.2.1", 80);
        close(copy);
        close(fd);
    }
    return NULL;
}

/* exit() while threads are in the middle of everything. */
static void scene_threads_at_exit(void)
{
    pthread_t thread;
    for (int i = 0; i < 8; i++)
        EXPECT(pthread_create(&thread, NULL, forever, NULL) == 0);
    /* The number is another thread's at once. */
    int fd = connected("192.0.2.1", 80);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && echoes(fd) && close(fd) == 0);
}

static pthread_key_t key;
static int in_destructor = -1;

static void close_in_destructor(void *value)
{
    int fd = (int)(long)value;
    EXPECT(peer_is(fd, "192.0.2.1", 80) && echoes(fd) && close(fd) == 0);
    in_destructor = fd;
}

static void *with_a_destructor(void *unused)
{
    (void)unused;
    EXPECT(pthread_setspecific(key, (void *)(long)connected("192.0.2.1", 80)) == 0);
    return NULL;
}

static void scene_thread_destructor(void)
{
    pthread_t thread;
    EXPECT(pthread_key_create(&key, close_in_destructor) == 0);
    EXPECT(pthread_create(&thread, NULL, with_a_destructor, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(in_destructor >= 0 && is_forgotten(in_destructor));
}

static void scene_plugin(void)
{
    const char *path = getenv("PLUGIN");
    for (int i = 0; i < 3; i++) {
        void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        EXPECT(plugin);
        int (*reach_by_plugin)(void) = (int (*)(void))dlsym(plugin, "plugin_reach");
        EXPECT(reach_by_plugin);
        int fd = reach_by_plugin();
        EXPECT(dlclose(plugin) == 0 && peer_is(fd, "192.0.2.5", 80) && close(fd) == 0);
    }
}

static void scene_chroot(void)
{
    char directory[] = "/tmp/epochsocks.XXXXXX";
    EXPECT(mkdtemp(directory));
    if (unshare(CLONE_NEWUSER) != 0 || chroot(directory) != 0) {
        rmdir(directory);
        puts("SKIPPED: no chroot\ndone");
        exit(0);
    }
    EXPECT(chdir("/") == 0 && access("/proc", F_OK) == -1);
    use();
    char *arguments[] = {"true", NULL};
    FAILS(execv("/bin/true", arguments), ENOENT);
}

static void *small(void *unused)
{
    use();
    int fd = connected("192.0.2.1", 80);
    EXPECT(comes_back(fd) && close(fd) == 0);
    return unused;
}

static void scene_small_stack(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    EXPECT(pthread_attr_init(&attributes) == 0);
    EXPECT(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0);
    EXPECT(pthread_create(&thread, &attributes, small, NULL) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
}

static volatile sig_atomic_t handled, passes;

static void in_handler(int signal)
{
    (void)signal;
    struct sockaddr_in address = v4("192.0.2.1", 80), seen;
    socklen_t length = sizeof seen;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    handled = connect(fd, (struct sockaddr *)&address, sizeof address) == 0
        && getpeername(fd, (struct sockaddr *)&seen, &length) == 0
        && seen.sin_addr.s_addr == address.sin_addr.s_addr && (!passes || comes_back(fd))
        && close(fd) == 0;
}

static void on_alternate_stack(size_t room)
{
    size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + room;
    /* A page that must not be touched lies below. */
    char *memory = aligned_alloc(4096, 32768);
    EXPECT(memory && size <= 28672);
    memset(memory, 0x55, 32768);
    stack_t stack = {.ss_sp = memory + 32768 - size, .ss_size = size};
    struct sigaction action = {.sa_handler = in_handler, .sa_flags = SA_ONSTACK};
    EXPECT(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    EXPECT(raise(SIGUSR1) == 0 && handled);
    for (char *byte = memory; byte < (char *)stack.ss_sp; byte++)
        EXPECT(*byte == 0x55);
}

/* A message that takes a connected socket along tells where it leads, which needs more. */
static void scene_alternate_stack(void)
{
    on_alternate_stack(6144);
    passes = 1;
    on_alternate_stack(8192);
}

static void scene_many_descriptors(void)
{
    enum { MANY = 100000 };
    struct rlimit limit = {MANY + 64, MANY + 64};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        puts("SKIPPED: RLIMIT_NOFILE\ndone");
        exit(0);
    }
    int fd = connected("192.0.2.1", 80), other = connected("192.0.2.2", 80), highest = -1;
    for (int i = 0; i < MANY; i++) {
        int copy = i % 2 ? dup(other) : fcntl(fd, F_DUPFD, 0);
        EXPECT(copy >= 0);
        highest = copy > highest ? copy : highest;
    }
    EXPECT(highest > MANY);
    EXPECT(peer_is(highest, "192.0.2.2", 80) && peer_is(highest - 1, "192.0.2.1", 80));
    FAILS(reach(highest, "192.0.2.1", 80), EISCONN);
    EXPECT(close_range(6, highest - 1, 0) == 0);
    EXPECT(is_forgotten(highest - 1) && is_forgotten(50000) && peer_is(highest, "192.0.2.2", 80));
    EXPECT(echoes(highest) && echoes(fd));
}

static void scene_descriptor_limit(void)
{
    int fd = connected("192.0.2.1", 80), high = fcntl(fd, F_DUPFD, 900);
    EXPECT(high == 900);
    /* Below what is open, as programs do before they drop their rights. */
    struct rlimit before, low = {0, 0};
    EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0);
    low.rlim_max = before.rlim_max;
    EXPECT(setrlimit(RLIMIT_NOFILE, &low) == 0);
    FAILS(socket(AF_INET, SOCK_STREAM, 0), EMFILE);
    FAILS(dup(fd), EMFILE);
    FAILS(fcntl(fd, F_DUPFD, 0), EINVAL);
    FAILS(dup2(fd, 901), EBADF);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && peer_is(high, "192.0.2.1", 80) && echoes(high));
    FAILS(reach(fd, "192.0.2.1", 80), EISCONN);
    EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
    EXPECT(close(high) == 0 && is_forgotten(high));
    use();
}

/* A program that locks what it will map, and may lock little: the tables count in full. */
static void scene_locked_memory(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    EXPECT(syscall(SYS_capget, &head, sets) == 0);
    sets[CAP_TO_INDEX(CAP_IPC_LOCK)].effective &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    EXPECT(syscall(SYS_capset, &head, sets) == 0);
    struct rlimit little = {1 << 20, 1 << 20};
    EXPECT(setrlimit(RLIMIT_MEMLOCK, &little) == 0);
    EXPECT(mlockall(MCL_FUTURE) == 0);
    FAILS(socket(AF_INET, SOCK_STREAM, 0), ENOBUFS);
    EXPECT(munlockall() == 0);
    EXPECT(close(connected("198.51.100.1", 80)) == 0);
}

/* A filter that knows nothing of what the library needs beside what the program asks for. */
static void scene_seccomp(void)
{
    struct sock_filter lines[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    enter_filter(lines, sizeof lines / sizeof *lines);
    use();
    int status;
    pid_t child = fork();
    if (child == 0) {
        use();
        _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

/* A sandbox for a worker that has its connection: what is not in the list ends the process. */
static void scene_sandbox(void)
{
    static const int permitted[] = {SYS_read, SYS_write, SYS_close, SYS_ppoll, SYS_shutdown, SYS_futex,
        SYS_getpid, SYS_gettid, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_rt_sigprocmask,
        SYS_rt_sigreturn, SYS_clock_gettime, SYS_sendto, SYS_recvfrom, SYS_newfstatat, SYS_fstat, SYS_getrandom,
        /* The hook lets the kernel write what is not beside the stack pointer. */
        SYS_getpeername, SYS_exit, SYS_exit_group};
    enum { COUNT = sizeof permitted / sizeof *permitted };
    struct sock_filter lines[COUNT + 3] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    for (int i = 0; i < COUNT; i++)
        lines[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, permitted[i], COUNT - i, 0);
    lines[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    lines[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

    int fd = connected("192.0.2.1", 80), other = connected("192.0.2.2", 80), pair[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    enter_filter(lines, COUNT + 3);
    char text[6];
    struct timespec second = {1, 0};
    struct pollfd entry = {fd, POLLIN, 0};
    EXPECT(write(fd, "hello", 6) == 6 && ppoll(&entry, 1, &second, NULL) == 1 && read(fd, text, 6) == 6);
    EXPECT(echoes(fd) && peer_is(fd, "192.0.2.1", 80));
    EXPECT(write(pair[0], "text", 5) == 5 && read(pair[1], text, 5) == 5 && close(pair[0]) == 0);
    EXPECT(shutdown(other, SHUT_RDWR) == 0 && close(fd) == 0 && close(other) == 0);
    FAILS(close(fd), EBADF);
}

static void *load(void *path)
{
    EXPECT(dlopen(path, RTLD_NOW));
    return NULL;
}

/* Calls that this program has not made before, while another thread holds the dynamic linker's lock:
   so does a thread that a handler interrupts there. */
static void scene_first_calls_while_loading(void)
{
    int loading[2], go[2];
    char byte = 0, number[16];
    EXPECT(pipe(loading) == 0 && pipe(go) == 0);
    snprintf(number, sizeof number, "%d %d", loading[1], go[0]);
    EXPECT(setenv("CONSTRUCTOR_WAITS", number, 1) == 0);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, load, getenv("PLUGIN")) == 0);
    EXPECT(syscall(SYS_read, loading[0], &byte, 1) == 1);

    use();
    int pair[2];
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    EXPECT(dup2(pair[0], 300) == 300 && dup3(pair[0], 301, 0) == 301 && close_range(300, 301, 0) == 0);
    EXPECT(sendmsg(pair[0], &message, 0) == 1 && recvmsg(pair[1], &message, 0) == 1);
    EXPECT(shutdown(pair[0], SHUT_WR) == 0 && recv(pair[1], &byte, 1, 0) == 0);
    closefrom(400);

    EXPECT(syscall(SYS_write, go[1], &byte, 1) == 1);
    EXPECT(pthread_join(thread, NULL) == 0);
}

static const struct scene scenes[] = {
    {"allocator", scene_allocator},
    {"interposer", scene_interposer}, {"behind", scene_behind},
    {"first-calls-while-loading", scene_first_calls_while_loading},
    {"before-constructors", scene_before_constructors},
    {"at-exit", scene_at_exit},
    {"threads-at-exit", scene_threads_at_exit},
    {"thread-destructor", scene_thread_destructor},
    {"plugin", scene_plugin},
    {"chroot", scene_chroot},
    {"small-stack", scene_small_stack},
    {"alternate-stack", scene_alternate_stack},
    {"many-descriptors", scene_many_descriptors},
    {"descriptor-limit", scene_descriptor_limit},
    {"locked-memory", scene_locked_memory},
    {"seccomp", scene_seccomp},
    {"sandbox", scene_sandbox},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
