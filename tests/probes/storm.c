/* Many threads, signals, forks and jumps at once, and what they must not change. STORM_ROUNDS says
   how long. */
#define _GNU_SOURCE 1
#include "scene.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { THREADS = 4, FIRST = 200, SECOND, LAST_SHARED = SECOND };

static long rounds(long otherwise)
{
    const char *given = getenv("STORM_ROUNDS");
    return given ? atol(given) : otherwise;
}

/* Two connections that stay open under numbers that every thread knows. */
static void set_up(void)
{
    int first = connected("192.0.2.1", 80), second = connected("192.0.2.2", 80);
    EXPECT(dup2(first, FIRST) == FIRST && close(first) == 0);
    EXPECT(dup2(second, SECOND) == SECOND && close(second) == 0);
}

static int shared_are_right(void)
{
    return peer_is(FIRST, "192.0.2.1", 80) && peer_is(SECOND, "192.0.2.2", 80);
}

/* A descriptor of each kind comes and goes; whatever had its number before is forgotten. */
static int come_and_go(int own)
{
    struct sockaddr_in seen;
    socklen_t length = sizeof seen;
    int fresh = socket(AF_INET, SOCK_STREAM, 0), right, saved = errno;
    if (fresh < 0)
        return 0;
    right = getpeername(fresh, (struct sockaddr *)&seen, &length) == -1;
    int copy = dup(FIRST);
    right &= copy >= 0 && peer_is(copy, "192.0.2.1", 80);
    right &= dup2(SECOND, own) == own && peer_is(own, "192.0.2.2", 80);
    right &= dup2(copy, own) == own && peer_is(own, "192.0.2.1", 80);
    right &= close(copy) == 0 && close(fresh) == 0;
    right &= peer_is(own, "192.0.2.1", 80) && close(own) == 0;
    errno = saved;
    return right;
}

static volatile sig_atomic_t wrong_in_handler, handled;
static int interval;

static void handler(int number)
{
    (void)number;
    int saved = errno, copy = dup(SECOND), fresh = socket(AF_INET, SOCK_STREAM, 0);
    if (copy < 0 || !peer_is(copy, "192.0.2.2", 80) || close(copy) != 0 || close(fresh) != 0)
        wrong_in_handler = 1;
    handled++;
    alarm_in(interval);
    errno = saved;
}

static void *storm_thread(void *number)
{
    long wrong = 0, count = rounds(3000);
    for (long i = 0; i < count; i++)
        wrong += !come_and_go(LAST_SHARED + 1 + (int)(long)number) || !shared_are_right();
    return (void *)wrong;
}

static void signals_every(int microseconds)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    interval = microseconds;
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    alarm_in(interval);
}

static void start(pthread_t *threads)
{
    for (long i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, storm_thread, (void *)i) == 0);
}

static void finish(pthread_t *threads)
{
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        EXPECT(pthread_join(threads[i], &wrong) == 0 && wrong == NULL);
    }
    EXPECT(!wrong_in_handler);
    EXPECT(shared_are_right());
}

static void scene_signals(void)
{
    pthread_t threads[THREADS];
    set_up();
    signals_every(200);
    start(threads);
    finish(threads);
    EXPECT(handled > 10);
}

/* Work of a child: its registry works at once, and changes nothing of its parent's. */
static int child_is_right(void)
{
    return shared_are_right() && come_and_go(LAST_SHARED + 20) && close(FIRST) == 0
        && is_forgotten(FIRST) && peer_is(SECOND, "192.0.2.2", 80);
}

static void reap(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) == -1)
        EXPECT(errno == EINTR);
    EXPECT(status == 0);
}

static void scene_forks(void)
{
    pthread_t threads[THREADS];
    set_up();
    signals_every(500);
    start(threads);
    for (long i = 0; i < rounds(3000) / 30; i++) {
        pid_t child = i % 3 == 0 ? fork() : i % 3 == 1 ? _Fork() : raw(SYS_clone, SIGCHLD, 0, 0, 0);
        if (child == 0)
            _exit(!child_is_right());
        EXPECT(child > 0);
        reap(child);
        child = vfork();
        if (child == 0) {
            close(FIRST);
            dup2(1, SECOND);
            _exit(0);
        }
        reap(child);
        EXPECT(shared_are_right());
    }
    finish(threads);
}

static volatile sig_atomic_t forks, wrong_forks;

/* Forks wherever the interrupted code is, also between a claim and its release. */
static void fork_in_handler(int number)
{
    (void)number;
    int saved = errno, status;
    pid_t child = forks % 2 ? _Fork() : raw(SYS_clone, SIGCHLD, 0, 0, 0);
    if (child == 0)
        _exit(!child_is_right());
    while (waitpid(child, &status, 0) == -1 && errno == EINTR)
        ;
    wrong_forks |= child < 0 || status != 0;
    forks++;
    alarm_in(interval);
    errno = saved;
}

static void scene_forks_in_handlers(void)
{
    struct sigaction action = {.sa_handler = fork_in_handler};
    set_up();
    signals_every(1000);
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    while (forks < rounds(3000) / 20)
        EXPECT(come_and_go(LAST_SHARED + 1) && shared_are_right());
    EXPECT(!wrong_forks);
}

static long resident_pages(void)
{
    long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    EXPECT(file && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return resident;
}

static void open_and_close(long count)
{
    for (long i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(fd >= 0 && close(fd) == 0);
    }
}

/* The registry's memory does not grow with the number of sockets that there were. */
static void stays_flat(long count)
{
    /* The allocator's would come 512 at a time. */
    EXPECT(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    open_and_close(1000);
    long before = resident_pages();
    open_and_close(count);
    long after = resident_pages();
    printf("%ld sockets: %ld pages before, %ld after\n", count, before, after);
    EXPECT(after - before < 64);
}

static void scene_flat(void)
{
    stays_flat(rounds(200000));
}

static void *look_for_ever(void *unused)
{
    (void)unused;
    struct sockaddr_in seen;
    socklen_t length = sizeof seen;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (;;)
        getpeername(FIRST, (struct sockaddr *)&seen, &length);
    return NULL;
}

/* Threads that are cancelled anywhere in a lookup leave claims behind, which cost little. */
static void scene_cancelled(void)
{
    set_up();
    for (long i = 0; i < rounds(3000); i++) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, look_for_ever, NULL) == 0);
        for (int yields = 0; yields < 3; yields++)
            sched_yield();
        EXPECT(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
    }
    EXPECT(shared_are_right());
    stays_flat(20000);
    EXPECT(shared_are_right());
}

#if defined(__x86_64__)
#include <ucontext.h>

static sigjmp_buf out;
static long steps, jump_at;

static void jump(int number, siginfo_t *information, void *context)
{
    (void)number, (void)information, (void)context;
    if (++steps == jump_at)
        siglongjmp(out, 1);
}

/* The instructions of a lookup, or as many as there are before it is left for good. */
static long look(long until)
{
    struct sockaddr_in seen;
    socklen_t length = sizeof seen;
    steps = 0;
    jump_at = until;
    if (sigsetjmp(out, 1) == 0) {
        __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
        getpeername(FIRST, (struct sockaddr *)&seen, &length);
        __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    }
    return steps;
}

/* Handlers that jump out of a lookup at every instruction, thousands of times in all. */
static void scene_jumps(void)
{
    struct sigaction action = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO};
    set_up();
    EXPECT(sigaction(SIGTRAP, &action, NULL) == 0);
    look(-1);
    long whole = look(-1);
    for (long i = 0; i < rounds(3000); i++)
        look(1 + i % whole);
    stays_flat(20000);
    look(-1);
    long now = look(-1);
    printf("a lookup takes %ld instructions, %ld after the jumps\n", whole, now);
    EXPECT(whole > 50 && now < 3 * whole);
    EXPECT(shared_are_right());
}
#endif

/* Lets the library write behind the end of a block: what a tool must see. */
static void scene_overflow(void)
{
    set_up();
    void *small = malloc(4);
    socklen_t length = sizeof(struct sockaddr_in);
    EXPECT(small && getpeername(FIRST, small, &length) == 0);
    free(small);
}

static const struct scene scenes[] = {
    {"signals", scene_signals},
    {"forks", scene_forks},
    {"forks-in-handlers", scene_forks_in_handlers},
    {"flat", scene_flat},
    {"cancelled", scene_cancelled},
    {"overflow", scene_overflow},
#if defined(__x86_64__)
    {"jumps", scene_jumps},
#endif
    {NULL, NULL},
};

int main(int count, char **arguments) { return play(scenes, count, arguments); }
