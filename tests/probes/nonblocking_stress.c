/* nonblocking_stress CONNECTS: four threads, each with its own epoll set and manner of registration,
 * keep many connects in flight, and close, duplicate and fork among them. Each connection that is
 * announced must be one: it has its destination, and echoes its own number and nothing else. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "scene.h"

enum { THREADS = 4, OUTSTANDING = 32, MOST = 4096, PATIENCE = 100000 };

static int total;
static atomic_int served, dropped, forked;

struct work {
    unsigned random;
    uint32_t manner;
    int set, begun, open;
    /* By descriptor: its number + 1, 0 for none, and whether the number was sent. */
    int numbers[MOST];
    char sent[MOST];
};

static unsigned chance(struct work *work, unsigned one_in)
{
    work->random = work->random * 1103515245 + 12345;
    return (work->random >> 16) % one_in == 0;
}

static void arm(struct work *work, int fd, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events | work->manner};
    event.data.u64 = (uint64_t)work->numbers[fd] << 32 | (uint32_t)fd;
    EXPECT(epoll_ctl(work->set, operation, fd, &event) == 0);
}

static void end(struct work *work, int fd)
{
    work->numbers[fd] = 0;
    work->sent[fd] = 0;
    work->open--;
    EXPECT(close(fd) == 0);
}

static void begin(struct work *work)
{
    int number = work->begun++;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), before = chance(work, 3);
    EXPECT(fd >= 0 && fd < MOST);
    work->numbers[fd] = number + 1;
    if (before)
        arm(work, fd, EPOLL_CTL_ADD, EPOLLOUT);
    FAILS(reach(fd, "192.0.2.1", 1 + number), EINPROGRESS);
    if (!before && chance(work, 4)) {
        int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        EXPECT(duplicate >= 0 && duplicate < MOST && close(fd) == 0);
        work->numbers[fd] = 0;
        fd = duplicate;
    }
    work->numbers[fd] = number + 1;
    work->sent[fd] = 0;
    work->open++;
    if (!before)
        arm(work, fd, EPOLL_CTL_ADD, EPOLLOUT);
    if (chance(work, 8)) {
        dropped++;
        end(work, fd);
    } else if (chance(work, 64)) {
        /* The child looks at the handshake as well, and leaves. */
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            struct pollfd entry = {.fd = fd, .events = POLLOUT};
            poll(&entry, 1, 3);
            _exit(0);
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        forked++;
    }
}

static void serve(struct work *work, uint64_t data, uint32_t events)
{
    int fd = (int)(uint32_t)data, number = (int)(data >> 32) - 1, error = -1, echo = -1;
    socklen_t length = sizeof error;
    /* The kernel goes on with a closed socket that another thread's child still has. */
    if (work->numbers[fd] != number + 1)
        return;
    EXPECT(!(events & (EPOLLERR | EPOLLHUP)));
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
    EXPECT(peer_is(fd, "192.0.2.1", 1 + number));
    if (!work->sent[fd]) {
        EXPECT(events & EPOLLOUT);
        EXPECT(send(fd, &number, sizeof number, MSG_NOSIGNAL) == sizeof number);
        work->sent[fd] = 1;
        arm(work, fd, EPOLL_CTL_MOD, EPOLLIN);
    } else if (events & EPOLLIN) {
        EXPECT(recv(fd, &echo, sizeof echo, 0) == sizeof echo && echo == number);
        served++;
        end(work, fd);
    }
}

static void *run(void *argument)
{
    struct work *work = argument;
    struct epoll_event events[16];
    while (work->begun < total || work->open > 0) {
        while (work->begun < total && work->open < OUTSTANDING)
            begin(work);
        if (work->open == 0)
            continue;
        int count = epoll_wait(work->set, events, 1 + work->begun % 16, PATIENCE);
        /* None within that time: an event was lost, or the machine is of no use. */
        EXPECT(count > 0);
        for (int i = 0; i < count; i++)
            serve(work, events[i].data.u64, events[i].events);
    }
    return NULL;
}

static int descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    static const uint32_t manners[THREADS] = {0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
    static struct work works[THREADS];
    pthread_t threads[THREADS];
    if (argc != 2)
        return 2;
    total = atoi(argv[1]);
    int before = descriptors();
    for (int i = 0; i < THREADS; i++) {
        works[i].random = 7 + i;
        works[i].manner = manners[i];
        works[i].set = epoll_create1(EPOLL_CLOEXEC);
        EXPECT(pthread_create(&threads[i], NULL, run, &works[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
        close(works[i].set);
    }
    EXPECT(served + dropped == THREADS * total);
    EXPECT(descriptors() == before);
    for (int fd = 3; fd < 64; fd++)
        EXPECT(raw(SYS_fcntl, fd, F_GETFD, 0, 0) >= 0 || is_forgotten(fd));
    printf("%d connected, %d dropped, %d forks\ndone\n", served, dropped, forked);
    return 0;
}
