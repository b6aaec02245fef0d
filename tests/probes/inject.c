/* Steps through a hooked call, one instruction at a time, and behind one of them calls other hooks in
   a signal handler. Each boundary has a child of its own. INJECT_STEP=n tries every nth only;
   INJECT_SECONDS says when a child that has not ended is taken for one that never will. */
#define _GNU_SOURCE 1
#include "scene.h"
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <sys/wait.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100

static long setting(const char *name, long otherwise)
{
    return getenv(name) ? atol(getenv(name)) : otherwise;
}

/* Addresses of the library's code: only its instructions are boundaries. */
static uintptr_t library_start, library_end;

static int find_library(struct dl_phdr_info *information, size_t size, void *unused)
{
    (void)size, (void)unused;
    if (!strstr(information->dlpi_name, "libepochsocks_preload"))
        return 0;
    for (int i = 0; i < information->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = information->dlpi_phdr + i;
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
            continue;
        library_start = information->dlpi_addr + segment->p_vaddr;
        library_end = library_start + segment->p_memsz;
    }
    return 1;
}

static long boundaries, chosen;
static volatile sig_atomic_t injected;
static void (*injection)(void);

static void step(int number, siginfo_t *information, void *context)
{
    (void)number, (void)information;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t at = registers[REG_RIP];
    if (at < library_start || at >= library_end || ++boundaries != chosen)
        return;
    int saved = errno;
    injection();
    errno = saved;
    injected = 1;
    registers[REG_EFL] &= ~TRAP_FLAG;
}

#define STEPPED(call)                                                                     \
    do {                                                                                  \
        __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");       \
        call;                                                                             \
        __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");     \
    } while (0)

/* The descriptors of a trial: one connected, one fresh socket, one that is none of Tor's. */
enum { CONNECTED = 200, FRESH, PLAIN, TARGET, SPARE };

static void set_up(void)
{
    int fd = connected("192.0.2.1", 80), other = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    EXPECT(dup2(fd, CONNECTED) == CONNECTED && close(fd) == 0);
    EXPECT(dup2(other, FRESH) == FRESH && close(other) == 0);
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    EXPECT(dup2(pair[0], PLAIN) == PLAIN && close(pair[0]) == 0 && close(pair[1]) == 0);
}

/* Makes the registry free and reuse all that it may. */
static void churn(void)
{
    int fds[4];
    for (int round = 0; round < 24; round++) {
        for (int i = 0; i < 4; i++)
            EXPECT((fds[i] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
        for (int i = 0; i < 4; i++)
            EXPECT(close(fds[i]) == 0);
    }
}

/* The kernel and the library must say the same of fd. */
static void agrees(int fd)
{
    struct sockaddr_storage seen;
    socklen_t length = sizeof seen;
    if (raw(SYS_fcntl, fd, F_GETFD, 0, 0) == -EBADF) {
        EXPECT(is_forgotten(fd));
        return;
    }
    if (raw(SYS_getpeername, fd, (long)&seen, (long)&length, 0) != 0)
        FAILS(getpeername(fd, (struct sockaddr *)&seen, &length), ENOTCONN);
    else if (seen.ss_family == AF_UNIX)
        EXPECT(getpeername(fd, (struct sockaddr *)&seen, &length) == 0 && seen.ss_family == AF_UNIX);
    else
        EXPECT(peer_is(fd, "192.0.2.1", 80) || peer_is(fd, "192.0.2.2", 80));
}

/* Closes, and puts other connections into the memory of what was closed. */
static void reuse_connected(void)
{
    close(CONNECTED), churn();
    for (int i = 0; i < 40; i++)
        EXPECT(peer_is(connected("192.0.2.9", 80), "192.0.2.9", 80));
}

static void close_connected(void) { close(CONNECTED), churn(); }
static void close_fresh(void) { close(FRESH), churn(); }
static void close_target(void) { close(TARGET), churn(); }
/* Nothing else is closed: the hooks must see this. */
static void close_range_of_target(void) { close_range(TARGET, TARGET, 0); }
static void replace_connected(void) { dup2(PLAIN, CONNECTED), churn(); }
static void replace_target(void) { dup2(PLAIN, TARGET), churn(); }
static void duplicate_fresh(void) { dup2(FRESH, SPARE), churn(); }
static void look(void) { agrees(CONNECTED), agrees(PLAIN), churn(); }

/* Makes a child where the operation is: it works at once, and then both go on with what was
   interrupted. */
static void make_child(int looks, int works)
{
    int status;
    pid_t child = chosen % 3 == 0 ? fork() : chosen % 3 == 1 ? _Fork() : raw(SYS_clone, SIGCHLD, 0, 0, 0);
    if (child == 0) {
        alarm(setting("INJECT_SECONDS", 30));
        if (looks)
            look();
        if (!works)
            return;
        int fd = connected("192.0.2.2", 80);
        EXPECT(peer_is(fd, "192.0.2.2", 80) && echoes(fd) && close(fd) == 0 && is_forgotten(fd));
        return;
    }
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    churn();
}

static void make_child_that_looks(void) { make_child(1, 1); }
/* An entry goes before its descriptor: meanwhile the proxy is seen. */
static void make_child_that_works(void) { make_child(0, 1); }
static void make_child_that_rests(void) { make_child(0, 0); }

static void stepped_connect(void)
{
    int result;
    struct sockaddr_in address = v4("192.0.2.2", 80);
    STEPPED(result = connect(FRESH, (struct sockaddr *)&address, sizeof address));
    EXPECT(result == 0 || errno == EBADF);
}

static void stepped_getpeername(void)
{
    struct sockaddr_storage seen;
    socklen_t length = sizeof seen;
    int result;
    STEPPED(result = getpeername(CONNECTED, (struct sockaddr *)&seen, &length));
    if (result == 0 && seen.ss_family == AF_INET) {
        struct sockaddr_in expected = v4("192.0.2.1", 80);
        EXPECT(memcmp(&seen, &expected, sizeof expected) == 0);
    } else {
        EXPECT(result == 0 ? seen.ss_family == AF_UNIX : errno == EBADF);
    }
}

static void stepped_dup2(void)
{
    int result;
    STEPPED(result = dup2(CONNECTED, TARGET));
    EXPECT(result == TARGET || errno == EBADF);
}

static void stepped_overwrite(void)
{
    int result;
    STEPPED(result = dup2(FRESH, CONNECTED));
    EXPECT(result == CONNECTED);
}

static void stepped_close(void)
{
    int result;
    STEPPED(result = close(CONNECTED));
    EXPECT(result == 0 || errno == EBADF);
}

static void trial(void (*operation)(void), void (*handler)(void), int retired)
{
    struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
    alarm(setting("INJECT_SECONDS", 30));
    set_up();
    for (int i = 0; i < retired; i++)
        EXPECT(close(socket(AF_INET, SOCK_STREAM, 0)) == 0);
    EXPECT(sigaction(SIGTRAP, &action, NULL) == 0);
    injection = handler;
    operation();
    churn();
    for (int fd = CONNECTED; fd <= SPARE; fd++)
        agrees(fd);
    churn();
    /* No claim, no count and no lock is left behind: the next connection works. */
    int fd = connected("192.0.2.1", 80);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && close(fd) == 0);
}

/* Interrupts the operation at every boundary. */
static void at_every_boundary(void (*operation)(void), void (*handler)(void))
{
    long step = setting("INJECT_STEP", 1);
    long tried = 0, deadlocks = 0, wrong = 0;
    dl_iterate_phdr(find_library, NULL);
    EXPECT(library_start);
    for (int retired = 0; retired <= 12; retired += 12) {
        for (chosen = 1 + retired % step;; chosen += step) {
            int status;
            fflush(stdout);
            pid_t child = fork();
            if (child == 0) {
                trial(operation, handler, retired);
                exit(injected ? 0 : 9);
            }
            EXPECT(child > 0 && waitpid(child, &status, 0) == child);
            if (WIFEXITED(status) && WEXITSTATUS(status) == 9)
                break;
            tried++;
            if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
                deadlocks++;
            else if (status != 0)
                printf("boundary %ld: status %d\n", chosen, status), wrong++;
        }
    }
    printf("%ld boundaries: %ld deadlocks, %ld wrong\n", tried, deadlocks, wrong);
    EXPECT(tried > 10 && deadlocks == 0 && wrong == 0);
}

#define SCENE(function, operation, handler)                                               \
    static void function(void) { at_every_boundary(operation, handler); }

SCENE(connect_close, stepped_connect, close_fresh)
SCENE(connect_close_other, stepped_connect, close_connected)
SCENE(connect_duplicate, stepped_connect, duplicate_fresh)
SCENE(getpeername_close, stepped_getpeername, close_connected)
SCENE(getpeername_replace, stepped_getpeername, replace_connected)
SCENE(getpeername_reuse, stepped_getpeername, reuse_connected)
SCENE(getpeername_child, stepped_getpeername, make_child_that_looks)
SCENE(dup2_child, stepped_dup2, make_child_that_looks)
SCENE(close_child, stepped_close, make_child_that_works)
SCENE(close_resting_child, stepped_close, make_child_that_rests)
SCENE(dup2_close_source, stepped_dup2, close_connected)
SCENE(dup2_close_target, stepped_dup2, close_target)
SCENE(dup2_close_range, stepped_dup2, close_range_of_target)
SCENE(dup2_replace_target, stepped_dup2, replace_target)
SCENE(dup2_look, stepped_dup2, look)
SCENE(overwrite_close, stepped_overwrite, close_connected)
SCENE(close_close, stepped_close, close_connected)

static const struct scene scenes[] = {
    {"connect-close", connect_close},
    {"connect-close-other", connect_close_other},
    {"connect-duplicate", connect_duplicate},
    {"getpeername-close", getpeername_close},
    {"getpeername-replace", getpeername_replace},
    {"getpeername-reuse", getpeername_reuse},
    {"getpeername-child", getpeername_child},
    {"dup2-child", dup2_child},
    {"close-child", close_child},
    {"close-resting-child", close_resting_child},
    {"dup2-close-source", dup2_close_source},
    {"dup2-close-target", dup2_close_target},
    {"dup2-close-range", dup2_close_range},
    {"dup2-replace-target", dup2_replace_target},
    {"dup2-look", dup2_look},
    {"overwrite-close", overwrite_close},
    {"close-close", close_close},
    {NULL, NULL},
};

int main(int count, char **arguments) { return play(scenes, count, arguments); }
