/* Children of every kind: those with memory of their own work at once, those that share their
   parent's change nothing of its registry. */
#define _GNU_SOURCE 1
#include "scene.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <netdb.h>
#include <sched.h>
#include <sys/wait.h>

/* A vfork that is no function of libc's: no hook sees it, and by this name the library does not know it. */
#ifndef OWN_VFORK
#define OWN_VFORK "own_vfork"
#endif
__asm__(".text\n"
        ".globl " OWN_VFORK "\n" OWN_VFORK ":\n"
#if defined __x86_64__
        "pop %rdi\n"
        "mov $58, %eax\n"
        "syscall\n"
        "push %rdi\n"
        "ret\n"
        ".type " OWN_VFORK ", @function\n"
#elif defined __aarch64__
        "mov x0, #0x4111\n" /* CLONE_VM | CLONE_VFORK | SIGCHLD */
        "mov x1, xzr\n"
        "mov x2, xzr\n"
        "mov x3, xzr\n"
        "mov x4, xzr\n"
        "mov x8, #220\n" /* clone */
        "svc #0\n"
        "ret\n"
        ".type " OWN_VFORK ", %function\n"
#endif
        ".size " OWN_VFORK ", . - " OWN_VFORK "\n");
__attribute__((returns_twice)) pid_t own_vfork(void);

enum { THREADS = 4, ROUNDS = 15, FIRST = 200, SECOND, PLAIN, EMPTY, NEXT_EMPTY, OWN = 300 };

static void set_up(void)
{
    int first = connected("192.0.2.1", 80), second = connected("192.0.2.2", 80), pair[2];
    EXPECT(dup2(first, FIRST) == FIRST && close(first) == 0);
    EXPECT(dup2(second, SECOND) == SECOND && close(second) == 0);
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    EXPECT(dup2(pair[0], PLAIN) == PLAIN && close(pair[0]) == 0 && close(pair[1]) == 0);
}

static volatile int over;

/* In the midst of everything, on numbers that nobody else is given. */
static void *busy_thread(void *number)
{
    int own = OWN + (int)(long)number;
    long wrong = 0;
    while (!over) {
        wrong += dup2(SECOND, own) != own || !peer_is(own, "192.0.2.2", 80);
        wrong += !peer_is(FIRST, "192.0.2.1", 80) || close(own) != 0;
    }
    return (void *)wrong;
}

static void amid_threads(void (*work)(void))
{
    pthread_t threads[THREADS];
    set_up();
    for (long i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, busy_thread, (void *)i) == 0);
    int rounds = getenv("FORKS_ROUNDS") ? atoi(getenv("FORKS_ROUNDS")) : ROUNDS;
    for (int i = 0; i < rounds; i++)
        work();
    over = 1;
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        EXPECT(pthread_join(threads[i], &wrong) == 0 && wrong == NULL);
    }
}

static void succeeds(pid_t child)
{
    int status;
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    EXPECT(status == 0);
}

/* Connects, looks up and closes at once. */
static int child_works(void)
{
    /* A child that waits for ever is ended. */
    alarm(getenv("FORKS_SECONDS") ? atoi(getenv("FORKS_SECONDS")) : 20);
    int fd = socket(AF_INET, SOCK_STREAM, 0), right = fd >= 0;
    right &= peer_is(FIRST, "192.0.2.1", 80) && reach(fd, "192.0.2.3", 80) == 0;
    right &= peer_is(fd, "192.0.2.3", 80) && echoes(fd);
    right &= dup2(fd, FIRST) == FIRST && peer_is(FIRST, "192.0.2.3", 80);
    right &= close(FIRST) == 0 && is_forgotten(FIRST) && close(fd) == 0 && is_forgotten(fd);
    return right && peer_is(SECOND, "192.0.2.2", 80) && close(SECOND) == 0 && is_forgotten(SECOND);
}

#define CHILD_WORKS(form)                                                                 \
    do {                                                                                  \
        pid_t child = form;                                                               \
        if (child == 0)                                                                   \
            _exit(!child_works());                                                        \
        succeeds(child);                                                                  \
        EXPECT(peer_is(FIRST, "192.0.2.1", 80) && peer_is(SECOND, "192.0.2.2", 80));      \
    } while (0)

static void by_fork(void) { CHILD_WORKS(fork()); }
static void by_Fork(void) { CHILD_WORKS(_Fork()); }
static void by_clone(void) { CHILD_WORKS(raw(SYS_clone, SIGCHLD, 0, 0, 0)); }
static void scene_fork(void) { amid_threads(by_fork); }
static void scene_Fork(void) { amid_threads(by_Fork); }
static void scene_clone(void) { amid_threads(by_clone); }

/* Result of the child's socket(): a number that has no entry in the parent. */
static volatile int given;

/* Closes, replaces, duplicates into empty slots and connects in one. */
static int child_meddles(void *unused)
{
    (void)unused;
    int right = close(FIRST) == 0;
    right &= dup2(SECOND, EMPTY) == EMPTY && fcntl(EMPTY, F_DUPFD, NEXT_EMPTY) == NEXT_EMPTY;
    right &= dup2(PLAIN, SECOND) == SECOND && close_range(EMPTY, EMPTY, 0) == 0;
    given = socket(AF_INET, SOCK_STREAM, 0);
    right &= given >= 0 && reach(given, "192.0.2.3", 80) == 0 && echoes(given);
    return !right;
}

static void nothing_has_changed(void)
{
    EXPECT(peer_is(FIRST, "192.0.2.1", 80) && echoes(FIRST));
    EXPECT(peer_is(SECOND, "192.0.2.2", 80) && echoes(SECOND));
    EXPECT(is_forgotten(EMPTY) && is_forgotten(NEXT_EMPTY) && is_forgotten(given));
    int copy = fcntl(FIRST, F_DUPFD, given);
    EXPECT(copy >= 0 && peer_is(copy, "192.0.2.1", 80) && close(copy) == 0);
}

static void by_vfork(void)
{
    pid_t child = vfork();
    if (child == 0)
        _exit(child_meddles(NULL));
    succeeds(child);
    nothing_has_changed();
}

static void clone_vm(int (*child)(void *), int flags)
{
    static _Alignas(16) char stack[1 << 16];
    succeeds(clone(child, stack + sizeof stack, CLONE_VM | SIGCHLD | flags, NULL));
}

static void by_clone_vm(int flags)
{
    clone_vm(child_meddles, flags);
    nothing_has_changed();
}

/* The same by libc's function that a handle leads to, under both of its names. */
static void by_handle(void)
{
    static const char *const names[] = {"vfork", "__vfork"};
    static pid_t (*make_child)(void);
    for (volatile int i = 0; i < 2; i++) {
        make_child = (pid_t(*)(void))dlsym(dlopen("libc.so.6", RTLD_NOW), names[i]);
        EXPECT(make_child != NULL);
        errno = 0;
        volatile pid_t child = make_child();
        if (child == 0)
            _exit(errno != 0 || child_meddles(NULL));
        EXPECT(errno == 0);
        succeeds(child);
        nothing_has_changed();
    }
}

#ifdef __x86_64__
static _Noreturn void child_of_syscall(void) { _exit(child_meddles(NULL)); }

/* The child comes back on its own stack, to the address that lies there. */
static void by_syscall(void)
{
    static _Alignas(16) void *stack[1 << 13];
    void **top = stack + (1 << 13) - 2;
    *top = (void *)child_of_syscall;
    succeeds((pid_t)syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, top, 0, 0, 0));
    nothing_has_changed();
}
#else
/* There the child would come back into its parent's frame. */
static void by_syscall(void) {}
#endif

static void scene_handle(void) { amid_threads(by_handle); }
static void scene_syscall(void) { amid_threads(by_syscall); }

static void by_shared_memory(void) { by_clone_vm(0); }
static void by_suspended_parent(void) { by_clone_vm(CLONE_VFORK); }
static void scene_vfork(void) { amid_threads(by_vfork); }
static void scene_clone_vm(void) { amid_threads(by_shared_memory); }
static void scene_clone_vfork(void) { amid_threads(by_suspended_parent); }

/* The number of a socket that the parent has made and not used. */
static volatile int fresh;

/* Closes its copy, and connects a socket of its own that gets the number. */
static int child_reuses_the_number(void *unused)
{
    (void)unused;
    int right = close(fresh) == 0, own = socket(AF_INET, SOCK_STREAM, 0);
    right &= own == fresh && reach(own, "192.0.2.3", 80) == 0 && echoes(own);
    return !right;
}

static void scene_vfork_number(void)
{
    set_up();
    fresh = socket(AF_INET, SOCK_STREAM, 0);
    pid_t child = vfork();
    if (child == 0)
        _exit(child_reuses_the_number(NULL));
    succeeds(child);
    EXPECT(!peer_is(fresh, "192.0.2.3", 80));
    EXPECT(reach(fresh, "192.0.2.4", 80) == 0 && peer_is(fresh, "192.0.2.4", 80) && echoes(fresh));
}

/* The same before the parent has opened any socket: nobody has changed the registry yet. */
static int child_is_first(void *unused)
{
    (void)unused;
    given = socket(AF_INET, SOCK_STREAM, 0);
    return !(given >= 0 && reach(given, "192.0.2.3", 80) == 0 && echoes(given));
}

static void scene_first_vfork(void)
{
    pid_t child = vfork();
    if (child == 0)
        _exit(child_is_first(NULL));
    succeeds(child);
    EXPECT(is_forgotten(given));
    set_up();
    by_vfork();
}

static void scene_first_clone_vm(void)
{
    clone_vm(child_is_first, 0);
    EXPECT(is_forgotten(given));
    set_up();
    by_shared_memory();
}

/* Opens all its sockets itself, and is one whose own vfork child changes nothing. */
static int first_child_works(void)
{
    set_up();
    by_vfork();
    return child_works();
}

/* Both of a fork's processes come here. */
static void in_child(pid_t child, int (*works)(void))
{
    if (child == 0)
        _exit(!works());
    succeeds(child);
}

static void scene_first_copies(void)
{
    in_child(fork(), first_child_works);
    in_child(_Fork(), first_child_works);
    in_child(raw(SYS_clone, SIGCHLD, 0, 0, 0), first_child_works);
    set_up();
    by_vfork();
}

/* Has changed nothing when its own vfork child meddles. */
static int child_of_a_meddler_works(void)
{
    by_vfork();
    return child_works();
}

static void scene_copies_with_vfork(void)
{
    set_up();
    in_child(fork(), child_of_a_meddler_works);
    in_child(_Fork(), child_of_a_meddler_works);
    in_child(raw(SYS_clone, SIGCHLD, 0, 0, 0), child_of_a_meddler_works);
}

static void *idle_thread(void *unused)
{
    pause();
    return unused;
}

/* Has threads before it opens its first socket. */
static int child_with_threads_works(void)
{
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, idle_thread, NULL) == 0);
    set_up();
    return child_works();
}

static void scene_first_threads(void)
{
    in_child(fork(), child_with_threads_works);
    in_child(_Fork(), child_with_threads_works);
    in_child(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), child_with_threads_works);
    in_child(raw(SYS_clone, SIGCHLD, 0, 0, 0), child_with_threads_works);
#ifdef SYS_fork
    in_child(syscall(SYS_fork), child_with_threads_works);
#endif
}

/* Number of mappings that this process shares with others and can write to. */
static int shared_mappings(void)
{
    char line[512];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    EXPECT(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        const char *rights = strchr(line, ' ');
        found += rights != NULL && rights[2] == 'w' && rights[4] == 's';
    }
    fclose(maps);
    return found;
}

/* With nothing in flight a child shares no memory: what it may become is not to be trusted. */
static int child_shares_nothing_and_works(void)
{
    EXPECT(shared_mappings() == 0);
    return child_works();
}

static void scene_memory(void)
{
    struct addrinfo *found;
    set_up();
    EXPECT(getaddrinfo("forks.onion", "80", NULL, &found) == 0);
    freeaddrinfo(found);
    in_child(fork(), child_shares_nothing_and_works);
    EXPECT(shared_mappings() == 0);
}

/* The limit: a child that is not noticed takes entries of its parent's with it. Nothing goes past Tor by that. */
static void scene_unnoticed(void)
{
    set_up();
    int fresh = socket(AF_INET, SOCK_STREAM, 0);
    pid_t child = own_vfork();
    if (child == 0)
        _exit(close(FIRST) != 0 || close(fresh) != 0);
    succeeds(child);
    EXPECT(!peer_is(FIRST, "192.0.2.1", 80) && echoes(FIRST));
    EXPECT(peer_is(SECOND, "192.0.2.2", 80) && echoes(SECOND));
    EXPECT(reach(fresh, "192.0.2.3", 80) == 0 && peer_is(fresh, "192.0.2.3", 80) && echoes(fresh));
    FAILS(reach(FIRST, "192.0.2.4", 80), EISCONN);
}

static const struct scene scenes[] = {
    {"fork", scene_fork},
    {"_Fork", scene_Fork},
    {"clone", scene_clone},
    {"vfork", scene_vfork},
    {"vfork-number", scene_vfork_number},
    {"clone-vm", scene_clone_vm},
    {"clone-vfork", scene_clone_vfork},
    {"handle", scene_handle},
    {"syscall", scene_syscall},
    {"first-vfork", scene_first_vfork},
    {"first-clone-vm", scene_first_clone_vm},
    {"first-copies", scene_first_copies},
    {"copies-with-vfork", scene_copies_with_vfork},
    {"first-threads", scene_first_threads},
    {"memory", scene_memory},
    {"unnoticed", scene_unnoticed},
    {NULL, NULL},
};

int main(int count, char **arguments) { return play(scenes, count, arguments); }
