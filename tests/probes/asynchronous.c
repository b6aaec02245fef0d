/* getaddrinfo_a, gai_suspend, gai_error, gai_cancel: one scene for each argument. */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "scene.h"

enum { MANY = 100, MOST_WORKERS = 8 };

static char names[MANY][32];
static struct gaicb requests[MANY];
static struct gaicb *list[MANY + 2];
static const struct gaicb *const *const waited = (const struct gaicb *const *)list;

/* A list of `count` names, with holes. */
static int fill(int count)
{
    memset(requests, 0, sizeof requests);
    memset(list, 0, sizeof list);
    for (int i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "n%d.example", i);
        requests[i].ar_name = names[i];
        list[i + (i > 0)] = &requests[i];
    }
    return count + 2;
}

static int all_are(int count, int outcome)
{
    for (int i = 0; i < count; i++)
        if (gai_error(&requests[i]) != outcome)
            return 0;
    return 1;
}

static void free_all(int count)
{
    for (int i = 0; i < count; i++) {
        const struct sockaddr_in *address = (const struct sockaddr_in *)requests[i].ar_result->ai_addr;
        EXPECT(address->sin_family == AF_INET && address->sin_addr.s_addr == inet_addr("192.0.2.1"));
        freeaddrinfo(requests[i].ar_result);
    }
}

static void nothing(int signal)
{
    (void)signal;
}

/* Behind a Tor that never answers. */
static void scene_under_way(void)
{
    struct timespec moment = {0, 1000000}, bad = {0, -1};
    int count = fill(2);
    EXPECT(getaddrinfo_a(GAI_NOWAIT, list, count, NULL) == 0);
    EXPECT(all_are(2, EAI_INPROGRESS));
    EXPECT(gai_suspend(waited, count, &moment) == EAI_AGAIN);
    EXPECT(gai_suspend(waited, count, &bad) == EAI_SYSTEM && errno == EINVAL);
    EXPECT(gai_cancel(&requests[0]) == EAI_NOTCANCELED);
    EXPECT(gai_suspend(waited, 0, NULL) == EAI_ALLDONE);

    /* Again and again, as the first may come before the wait. */
    struct sigaction action = {.sa_handler = nothing};
    struct itimerval often = {{0, 10000}, {0, 10000}}, never = {{0, 0}, {0, 0}};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    EXPECT(gai_suspend(waited, count, NULL) == EAI_INTR);
    EXPECT(setitimer(ITIMER_REAL, &never, NULL) == 0);

    /* Requests that need no Tor are done all the same, and wrong ones are told. */
    struct gaicb number = {.ar_name = "192.0.2.9"}, *one = &number;
    EXPECT(getaddrinfo_a(GAI_WAIT, &one, 1, NULL) == 0 && gai_error(one) == 0);
    freeaddrinfo(number.ar_result);
    EXPECT(gai_cancel(one) == EAI_ALLDONE);
    EXPECT(gai_suspend((const struct gaicb *const *)&one, 1, NULL) == EAI_ALLDONE);
    errno = 0;
    EXPECT(getaddrinfo_a(7, &one, 1, NULL) == EAI_SYSTEM && errno == EINVAL);
    EXPECT(all_are(2, EAI_INPROGRESS));
}

static int threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    EXPECT(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static void scene_bounded(void)
{
    int count = fill(MANY);
    EXPECT(getaddrinfo_a(GAI_NOWAIT, list, count, NULL) == 0);
    EXPECT(all_are(MANY, EAI_INPROGRESS) && threads() == 1 + MOST_WORKERS);
}

static void unwanted(int signal)
{
    (void)signal;
    _exit(3);
}

static void scene_signals(void)
{
    int count = fill(2), pending;
    sigset_t mine, got;
    struct sigaction action = {.sa_handler = unwanted};
    EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
    EXPECT(getaddrinfo_a(GAI_NOWAIT, list, count, NULL) == 0);
    EXPECT(pthread_sigmask(SIG_SETMASK, NULL, &mine) == 0 && !sigismember(&mine, SIGUSR1));
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR1);
    EXPECT(pthread_sigmask(SIG_BLOCK, &mine, NULL) == 0);
    /* No other thread may take it. */
    EXPECT(kill(getpid(), SIGUSR1) == 0);
    EXPECT(sigpending(&got) == 0 && sigismember(&got, SIGUSR1));
    EXPECT(sigwait(&mine, &pending) == 0 && pending == SIGUSR1);
    /* libc asks every thread for it. */
    EXPECT(setgid(getgid()) == 0 && setuid(getuid()) == 0);
}

/* No memory for a thread's stack: told at once, by the call and by every request. */
static void scene_no_threads(void)
{
    enum { LITTLE = 128 << 10 };
    unsigned long pages;
    FILE *file = fopen("/proc/self/statm", "r");
    int count = fill(3);
    EXPECT(file && fscanf(file, "%lu", &pages) == 1 && fclose(file) == 0);
    struct rlimit limit = {pages * (unsigned long)getpagesize() + LITTLE, RLIM_INFINITY};
    EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
    EXPECT(getaddrinfo_a(GAI_NOWAIT, list, count, NULL) == EAI_AGAIN && all_are(3, EAI_AGAIN));
    EXPECT(gai_suspend(waited, count, NULL) == EAI_ALLDONE);
}

static void scene_forked(void)
{
    int count = fill(2), status;
    EXPECT(getaddrinfo_a(GAI_NOWAIT, list, count, NULL) == 0);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(all_are(2, EAI_CANCELED));
        EXPECT(gai_suspend(waited, count, NULL) == EAI_ALLDONE);
        EXPECT(gai_cancel(&requests[1]) == EAI_CANCELED);
        struct gaicb own = {.ar_name = "own.example"}, *one = &own;
        EXPECT(getaddrinfo_a(GAI_NOWAIT, &one, 1, NULL) == 0 && gai_error(one) == EAI_INPROGRESS);
        _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(all_are(2, EAI_INPROGRESS));
}

static void *suspended(void *ready)
{
    __atomic_store_n((int *)ready, 1, __ATOMIC_SEQ_CST);
    gai_suspend(waited, 2, NULL);
    return NULL;
}

static void scene_cancelled(void)
{
    int count = fill(1), ready = 0;
    pthread_t thread;
    void *result;
    EXPECT(getaddrinfo_a(GAI_NOWAIT, list, count, NULL) == 0);
    EXPECT(pthread_create(&thread, NULL, suspended, &ready) == 0);
    while (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST))
        sched_yield();
    EXPECT(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
    EXPECT(result == PTHREAD_CANCELED);
}

static void scene_long_list(void)
{
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    int count = fill(MANY), suspended, times = 0;
    EXPECT(getaddrinfo_a(GAI_NOWAIT, list, count, &none) == 0);
    while ((suspended = gai_suspend(waited, count, NULL)) == 0)
        times++;
    EXPECT(suspended == EAI_ALLDONE && times <= MANY && all_are(MANY, 0));
    free_all(MANY);
}

static void scene_long_list_that_waits(void)
{
    int count = fill(MANY);
    EXPECT(getaddrinfo_a(GAI_WAIT, list, count, NULL) == 0 && all_are(MANY, 0));
    free_all(MANY);
}

static int ends[2];

static void by_signal(int signal, siginfo_t *information, void *context)
{
    (void)context;
    int right = signal == SIGUSR2 && information->si_code == SI_ASYNCNL && information->si_pid == getpid()
        && information->si_value.sival_int == 42 && all_are(10, 0);
    EXPECT(write(ends[1], right ? "!" : "?", 1) == 1);
}

static void by_thread(union sigval value)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    int right = value.sival_ptr == requests && all_are(10, 0) && !sigismember(&mask, SIGUSR1);
    EXPECT(write(ends[1], right ? "!" : "?", 1) == 1);
}

static int told(void)
{
    char byte;
    ssize_t count;
    while ((count = read(ends[0], &byte, 1)) == -1)
        EXPECT(errno == EINTR);
    return count == 1 && byte == '!';
}

static void scene_notified(void)
{
    struct sigaction action = {.sa_sigaction = by_signal, .sa_flags = SA_SIGINFO};
    EXPECT(sigaction(SIGUSR2, &action, NULL) == 0 && pipe(ends) == 0);
    int count = fill(10);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 42};
    EXPECT(getaddrinfo_a(GAI_NOWAIT, list, count, &event) == 0 && told());
    free_all(10);
    /* A list of nothing is done at once. */
    struct gaicb *nobody[1] = {NULL};
    EXPECT(getaddrinfo_a(GAI_NOWAIT, nobody, 1, &event) == 0 && told());

    pthread_attr_t joinable, detached;
    EXPECT(pthread_attr_init(&joinable) == 0 && pthread_attr_init(&detached) == 0);
    EXPECT(pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) == 0);
    pthread_attr_t *attributes[] = {NULL, &joinable, &detached};
    for (int i = 0; i < 3; i++) {
        fill(10);
        event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_value.sival_ptr = requests};
        event.sigev_notify_function = by_thread;
        event.sigev_notify_attributes = attributes[i];
        EXPECT(getaddrinfo_a(GAI_NOWAIT, list, count, &event) == 0 && told());
        free_all(10);
    }
}

static const struct scene scenes[] = {
    {"under-way", scene_under_way},
    {"bounded", scene_bounded},
    {"signals", scene_signals},
    {"no-threads", scene_no_threads},
    {"forked", scene_forked},
    {"cancelled", scene_cancelled},
    {"long-list", scene_long_list},
    {"long-list-that-waits", scene_long_list_that_waits},
    {"notified", scene_notified},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
