/* A connect that waits under a supervisor, one scene for each end of it. The proxy answers each connection
   when two have come so far, or never. */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "scene.h"

static int other = -1, thread_id;
static volatile sig_atomic_t handled;

/* The second connection, without which the proxy answers none. */
static void *connect_another(void *unused)
{
    other = connected("192.0.2.2", 80);
    return unused;
}

static void handle(int signal)
{
    (void)signal;
    handled++;
}

/* It must have run, or the proxy answers no connect. */
static void let_another_connect(int signal)
{
    pthread_t thread;
    if (handled++ == 0)
        EXPECT(pthread_create(&thread, NULL, connect_another, NULL) == 0);
    (void)signal;
}

static void on_alarm(void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    struct itimerval soon = {{0, 0}, {0, 100000}};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    EXPECT(setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

static void scene_restarted(void)
{
    on_alarm(let_another_connect, SA_RESTART);
    int fd = connected("192.0.2.1", 80);
    EXPECT(handled == 1 && peer_is(fd, "192.0.2.1", 80) && echoes(fd));
    FAILS(reach(fd, "192.0.2.1", 80), EISCONN);
}

static void scene_interrupted(void)
{
    pthread_t thread;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    on_alarm(handle, 0);
    FAILS(reach(fd, "192.0.2.1", 80), EINTR);
    EXPECT(handled == 1);
    EXPECT(pthread_create(&thread, NULL, connect_another, NULL) == 0);
    EXPECT(reach(fd, "192.0.2.1", 80) == 0);
    EXPECT(pthread_join(thread, NULL) == 0 && echoes(fd) && echoes(other));
}

static void scene_interrupted_for_another(void)
{
    pthread_t thread;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    on_alarm(handle, 0);
    FAILS(reach(fd, "192.0.2.1", 80), EINTR);
    EXPECT(pthread_create(&thread, NULL, connect_another, NULL) == 0);
    EXPECT(reach(fd, "192.0.2.3", 80) == 0 && peer_is(fd, "192.0.2.3", 80));
}

/* Data of a call that is made once more are sent once. */
static void scene_fast_open(void)
{
    struct sockaddr_in address = v4("192.0.2.1", 80);
    char answer[6];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    on_alarm(let_another_connect, SA_RESTART);
    EXPECT(sendto(fd, "first", 6, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address) == 6);
    EXPECT(handled == 1 && recv(fd, answer, 6, MSG_WAITALL) == 6 && strcmp(answer, "first") == 0);
    EXPECT(echoes(fd));
}

static void scene_often(void)
{
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    on_alarm(handle, SA_RESTART);
    EXPECT(setitimer(ITIMER_REAL, &often, NULL) == 0);
    int fd = connected("192.0.2.1", 80);
    EXPECT(setitimer(ITIMER_REAL, &never, NULL) == 0);
    EXPECT(handled > 10 && echoes(fd));
}

static int ended;

static void *connect_and_close(void *unused)
{
    for (int i = 0; i < 20; i++) {
        int fd = connected("192.0.2.1", 80);
        EXPECT(echoes(fd) && close(fd) == 0);
    }
    __atomic_add_fetch(&ended, 1, __ATOMIC_RELEASE);
    return unused;
}

/* A thread that a signal has woken does not see an answer that comes before it runs. */
static void scene_storm(void)
{
    pthread_t threads[60];
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
    for (int i = 0; i < 60; i++)
        EXPECT(pthread_create(&threads[i], NULL, connect_and_close, NULL) == 0);
    while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < 60) {
        for (int i = 0; i < 60; i++)
            EXPECT(pthread_kill(threads[i], SIGUSR1) == 0);
        usleep(1000);
    }
    for (int i = 0; i < 60; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
}

static int waiting;

static void *connect_for_ever(void *unused)
{
    int fd = waiting = socket(AF_INET, SOCK_STREAM, 0);
    __atomic_store_n(&thread_id, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
    reach(fd, "192.0.2.1", 80);
    return unused;
}

static void scene_cancelled(void)
{
    pthread_t thread;
    void *result;
    EXPECT(pthread_create(&thread, NULL, connect_for_ever, NULL) == 0);
    wait_until_asleep(&thread_id);
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    FAILS(getpeername(waiting, (struct sockaddr *)&peer, &length), ENOTCONN);
    FAILS(reach(waiting, "192.0.2.1", 80), EALREADY);
    EXPECT(pthread_cancel(thread) == 0);
    EXPECT(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
}

static void scene_stopped(void)
{
    int status;
    thread_id = fork();
    if (thread_id == 0) {
        connect_for_ever(NULL);
        _exit(1);
    }
    wait_until_asleep_in("/proc/%d/stat", &thread_id);
    for (int i = 0; i < 2; i++) {
        EXPECT(kill(thread_id, SIGSTOP) == 0);
        EXPECT(waitpid(thread_id, &status, WUNTRACED) == thread_id && WIFSTOPPED(status));
        EXPECT(kill(thread_id, SIGCONT) == 0);
        EXPECT(waitpid(thread_id, &status, WCONTINUED) == thread_id && WIFCONTINUED(status));
    }
    EXPECT(kill(thread_id, SIGTERM) == 0);
    EXPECT(waitpid(thread_id, &status, 0) == thread_id && WTERMSIG(status) == SIGTERM);
}

static void scene_timed(void)
{
    struct timeval limit = {0, 100000};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
    FAILS(reach(fd, "192.0.2.1", 80), EINPROGRESS);
    FAILS(send(fd, "early", 5, MSG_NOSIGNAL), EPIPE);
}

/* At a server of this machine whose queue is full. */
static void scene_direct(void)
{
    struct sockaddr_in address = v4("127.0.0.1", 0);
    struct timeval limit = {0, 100000}, none = {0, 0};
    socklen_t length = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(server, (struct sockaddr *)&address, length) == 0 && listen(server, 0) == 0);
    EXPECT(getsockname(server, (struct sockaddr *)&address, &length) == 0);
    int port = ntohs(address.sin_port);
    int first = connected("127.0.0.1", port);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
    FAILS(reach(fd, "127.0.0.1", port), EINPROGRESS);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none) == 0);
    on_alarm(handle, 0);
    FAILS(reach(fd, "127.0.0.1", port), EINTR);
    EXPECT(close(accept(server, NULL, NULL)) == 0 && close(first) == 0);
    EXPECT(reach(fd, "127.0.0.1", port) == 0 && peer_is(fd, "127.0.0.1", port));
}

static const struct scene scenes[] = {
    {"restarted", scene_restarted},
    {"interrupted", scene_interrupted},
    {"interrupted-for-another", scene_interrupted_for_another},
    {"fast-open", scene_fast_open},
    {"often", scene_often},
    {"storm", scene_storm},
    {"cancelled", scene_cancelled},
    {"stopped", scene_stopped},
    {"timed", scene_timed},
    {"direct", scene_direct},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
