/* Threads with a descriptor table of their own, and processes that share one but no memory: one scene for
   each way to come to it. */
#define _GNU_SOURCE 1
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "scene.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif

static int fd, way;

/* The answer about fd is true, or it is the proxy. */
static int tells_no_other(const char *host)
{
    struct sockaddr_in seen;
    socklen_t length = sizeof seen;
    if (getpeername(fd, (struct sockaddr *)&seen, &length) != 0)
        return 0;
    return peer_is(fd, host, 80) || peer_is(fd, "127.0.0.1", atoi(getenv("EPOCHSOCKS_TOR_PORT")));
}

static int reopen(void)
{
    return close(fd) == 0 && connected("192.0.2.2", 80) == fd && tells_no_other("192.0.2.2") && echoes(fd);
}

/* In a thread whose table is a copy the number becomes another connection; here it stays what it was. */
static void *leave(void *unused)
{
    if (way == 0)
        EXPECT(unshare(CLONE_FILES) == 0);
    else if (way == 1)
        EXPECT(syscall(SYS_unshare, CLONE_FILES) == 0);
    else
        EXPECT(close_range(1000, 1001, CLOSE_RANGE_UNSHARE) == 0);
    EXPECT(reopen());
    return unused;
}

static void scene_threads(void)
{
    for (way = 0; way < 3; way++) {
        pthread_t thread;
        fd = connected("192.0.2.1", 80);
        EXPECT(pthread_create(&thread, NULL, leave, NULL) == 0 && pthread_join(thread, NULL) == 0);
        EXPECT(tells_no_other("192.0.2.1") && echoes(fd) && close(fd) == 0);
    }
}

static char stack[1 << 17] __attribute__((aligned(16)));

static int child(void *unused)
{
    (void)unused;
    _exit(!reopen());
}

static void in_process(pid_t started)
{
    int status;
    EXPECT(started > 0 && waitpid(started, &status, 0) == started && status == 0);
    EXPECT(tells_no_other("192.0.2.2") && echoes(fd) && close(fd) == 0);
}

static void scene_processes(void)
{
    fd = connected("192.0.2.1", 80);
    pid_t started = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (started == 0)
        child(NULL);
    in_process(started);
    fd = connected("192.0.2.1", 80);
    in_process(clone(child, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL));
    fd = connected("192.0.2.1", 80);
    struct clone_args arguments = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};
    started = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (started == 0)
        child(NULL);
    in_process(started);
    FAILS(syscall(SYS_clone3, NULL, sizeof arguments), EFAULT);
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {{"threads", scene_threads}, {"processes", scene_processes}, {0}};
    return play(scenes, count, arguments);
}
