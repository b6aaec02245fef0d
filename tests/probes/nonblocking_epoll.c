/* A socket in flight in several epoll sets, and several threads that wait on one. */
#include "nonblocking.h"
#include "filter.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

static int waits_on(int epoll, int limit, struct epoll_event *event)
{
    int count = epoll_wait(epoll, event, 1, limit);
    EXPECT(count == 0 || count == 1);
    return count;
}

/* Each set has a manner and data of its own, and tells the end once or as long as it lasts. */
static void scene_several_sets(void)
{
    static const uint32_t manners[] = {0, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLET | EPOLLONESHOT};
    enum { SETS = sizeof manners / sizeof *manners };
    int sets[SETS], fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event event;
    for (int i = 0; i < SETS; i++) {
        /* Half of them before the connect. */
        if (i == SETS / 2)
            FAILS(reach(fd, HOST, 80), EINPROGRESS);
        sets[i] = epoll_create1(0);
        event = (struct epoll_event){.events = EPOLLOUT | manners[i], .data.u64 = 1000 + i};
        EXPECT(epoll_ctl(sets[i], EPOLL_CTL_ADD, fd, &event) == 0);
    }
    for (int i = 0; i < SETS; i++)
        EXPECT(waits_on(sets[i], 0, &event) == 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < SETS; i++) {
            int again = round == 0 || manners[i] == 0 || manners[i] == EPOLLEXCLUSIVE;
            EXPECT(waits_on(sets[i], round == 0 ? -1 : 0, &event) == again);
            EXPECT(!again || (event.events == EPOLLOUT && event.data.u64 == 1000u + (unsigned)i));
        }
    }
    is_connected(fd);
}

/* Eight registrations of a socket in flight are kept; one more is refused, and costs nothing else. */
static void scene_too_many_sets(void)
{
    enum { MOST = 8 };
    int sets[MOST + 1], fd = begun();
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = fd};
    for (int i = 0; i < MOST; i++) {
        sets[i] = epoll_create1(0);
        add(sets[i], fd, EPOLLOUT);
    }
    sets[MOST] = epoll_create1(0);
    FAILS(epoll_ctl(sets[MOST], EPOLL_CTL_ADD, fd, &event), ENOSPC);
    EXPECT(epoll_ctl(sets[0], EPOLL_CTL_DEL, fd, NULL) == 0);
    add(sets[MOST], fd, EPOLLOUT);
    for (int i = 1; i <= MOST; i++)
        EXPECT(waits_on(sets[i], -1, &event) == 1 && event.events == EPOLLOUT);
    EXPECT(waits_on(sets[0], 0, &event) == 0);
}

enum { WAITERS = 5 };
static int waiters[WAITERS];
static atomic_int begun_to_wait, told;
static int bell;

/* Counts the connection's event, and ends when the bell rings. */
static void *waits(void *argument)
{
    __atomic_store_n(&waiters[begun_to_wait++], gettid(), __ATOMIC_RELEASE);
    for (;;) {
        struct epoll_event event;
        EXPECT(waits_on(set, -1, &event) == 1);
        if (event.data.fd == bell)
            return NULL;
        EXPECT(event.data.fd == (intptr_t)argument && event.events == EPOLLOUT);
        told++;
    }
}

/* Many threads wait on one set: an edge and a single shot are for one of them. */
static void scene_many_waiters(void)
{
    static const uint32_t manners[] = {EPOLLET, EPOLLONESHOT};
    pthread_t threads[WAITERS];
    for (int i = 0; i < 2; i++) {
        told = begun_to_wait = 0;
        memset(waiters, 0, sizeof waiters);
        bell = eventfd(0, 0);
        set = epoll_create1(0);
        int fd = begun();
        add(set, fd, EPOLLOUT | manners[i]);
        add(set, bell, EPOLLIN);
        for (int j = 0; j < WAITERS; j++)
            EXPECT(pthread_create(&threads[j], NULL, waits, (void *)(intptr_t)fd) == 0);
        /* The threads alone drive the handshake. */
        while (told == 0)
            usleep(1000);
        for (int j = 0; j < WAITERS; j++)
            wait_until_asleep(&waiters[j]);
        EXPECT(told == 1);
        is_connected(fd);
        EXPECT(write(bell, &(uint64_t){1}, 8) == 8);
        for (int j = 0; j < WAITERS; j++)
            EXPECT(pthread_join(threads[j], NULL) == 0);
        close(fd);
        close(bell);
        close(set);
    }
}

/* A single shot that was registered before the connect, and that a change during it arms again. */
static void scene_oneshot(void)
{
    set = epoll_create1(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT, .data.u64 = fd};
    add(set, fd, EPOLLOUT | EPOLLONESHOT);
    EXPECT(by_epoll(fd, 0) == (EPOLLOUT | EPOLLHUP));
    EXPECT(by_epoll(fd, 0) == 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    EXPECT(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
    EXPECT(by_epoll(fd, 0) == 0);
    EXPECT(by_epoll(fd, -1) == EPOLLOUT);
    EXPECT(by_epoll(fd, 20) == 0);
    is_connected(fd);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    add(set, fd, EPOLLOUT | EPOLLONESHOT);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    EXPECT(by_epoll(fd, -1) == EPOLLOUT);
    EXPECT(by_epoll(fd, 20) == 0);
    is_connected(fd);
}

/* A set in a set in a set, with an untracked descriptor beside the socket. */
static void scene_nested(void)
{
    int outer = epoll_create1(0), middle = epoll_create1(0), pair[2];
    struct epoll_event event;
    set = epoll_create1(0);
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    add(outer, middle, EPOLLIN);
    add(middle, set, EPOLLIN);
    add(set, pair[0], EPOLLIN);
    int fd = begun();
    add(set, fd, EPOLLOUT | EPOLLET);
    EXPECT(write(pair[1], "x", 1) == 1);
    EXPECT(waits_on(outer, -1, &event) == 1 && event.data.fd == middle);
    EXPECT(waits_on(middle, 0, &event) == 1 && event.data.fd == set);
    EXPECT(by_epoll(pair[0], 0) == EPOLLIN);
    EXPECT(epoll_ctl(set, EPOLL_CTL_DEL, pair[0], NULL) == 0);
    int seen = 0;
    while (!seen) {
        EXPECT(waits_on(outer, -1, &event) == 1);
        seen = by_epoll(fd, 0);
    }
    EXPECT(seen == EPOLLOUT);
    is_connected(fd);
    EXPECT(by_epoll(fd, 0) == 0);
}

/* Registrations from before a connect(AF_UNSPEC) are the socket's after it, too. */
static void scene_dissolved(void)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct epoll_event event;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    add(epoll, fd, EPOLLOUT | EPOLLET);
    for (int round = 0; round < 2; round++) {
        EXPECT(fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && connect(fd, &none, sizeof none) == 0);
        while (waits_on(epoll, 0, &event))
            ;
        FAILS(reach(fd, HOST, 80), EINPROGRESS);
        EXPECT(waits_on(epoll, 20, &event) == 0);
        EXPECT(waits_on(epoll, -1, &event) == 1 && event.events == EPOLLOUT && event.data.fd == fd);
        is_connected(fd);
    }
}

static int open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    EXPECT(directory);
    int count = 0;
    while (readdir(directory))
        count++;
    EXPECT(closedir(directory) == 0);
    return count;
}

static void by_close(int fd) { EXPECT(close(fd) == 0); }
static void by_close_range(int fd) { EXPECT(close_range(fd, fd, 0) == 0); }
static void by_dup2(int fd) { EXPECT(dup2(0, fd) == fd && close(fd) == 0); }

static void by_fclose(int fd)
{
    FILE *stream = fdopen(fd, "r");
    EXPECT(stream && fclose(stream) == 0);
}

/* The registrations of a socket whose connection was dissolved go with its last descriptor, and so does
   the handshake that is in flight by then. */
static void scene_dissolved_and_closed(void)
{
    static void (*const ways[])(int) = {by_close, by_close_range, by_dup2, by_fclose};
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct epoll_event event;
    int epoll = epoll_create1(0), before = open_descriptors();
    for (int round = 0; round < 4 * (int)(sizeof ways / sizeof *ways); round++) {
        int connects_again = round & 1, has_duplicate = round & 2, fd = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(reach(fd, HOST, 80) == 0);
        EXPECT(connect(fd, &none, sizeof none) == 0);
        int other = has_duplicate ? dup(fd) : -1;
        add(epoll, fd, EPOLLOUT);
        if (connects_again && ways[round / 4] != by_fclose) {
            EXPECT(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
            FAILS(reach(fd, HOST, 80), EINPROGRESS);
        }
        if (has_duplicate) {
            EXPECT(close(other) == 0);
            EXPECT(connects_again || waits_on(epoll, -1, &event) == 1);
        }
        ways[round / 4](fd);
        EXPECT(waits_on(epoll, 0, &event) == 0);
        EXPECT(open_descriptors() == before);
    }
}

/* A set has as many numbers as a program makes: a registration by one of them is there for all. */
static void scene_duplicate_of_a_set(void)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 7};
    int set = epoll_create1(0), other = dup(set), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    for (int round = 0; round < 4; round++) {
        int first = round & 1 ? set : other, second = round & 1 ? other : set;
        if (round < 2)
            FAILS(reach(fd, HOST, 80), EINPROGRESS);
        EXPECT(epoll_ctl(first, EPOLL_CTL_ADD, fd, &event) == 0);
        FAILS(epoll_ctl(second, EPOLL_CTL_ADD, fd, &event), EEXIST);
        if (round >= 2)
            FAILS(reach(fd, HOST, 80), EINPROGRESS);
        FAILS(epoll_ctl(second, EPOLL_CTL_ADD, fd, &event), EEXIST);
        EXPECT(waits_on(first, 0, &event) == 0);
        EXPECT(epoll_ctl(second, EPOLL_CTL_MOD, fd, &event) == 0);
        EXPECT(waits_on(set, -1, &event) == 1 && event.events == EPOLLOUT && event.data.u64 == 7);
        FAILS(epoll_ctl(first, EPOLL_CTL_ADD, fd, &event), EEXIST);
        EXPECT(epoll_ctl(first, EPOLL_CTL_MOD, fd, &event) == 0);
        EXPECT(waits_on(other, 0, &event) == 1);
        EXPECT(epoll_ctl(second, EPOLL_CTL_DEL, fd, NULL) == 0);
        FAILS(epoll_ctl(first, EPOLL_CTL_DEL, fd, NULL), ENOENT);
        EXPECT(waits_on(other, 0, &event) == 0);
        EXPECT(connect(fd, &none, sizeof none) == 0);
    }
}

/* A set that is closed takes its registrations along: the next set of its number tells of none of them. */
static void scene_closed_set(void)
{
    static const uint32_t manners[] = {0, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE};
    for (int round = 0; round < 2 * (int)(sizeof manners / sizeof *manners); round++) {
        struct epoll_event event = {.events = EPOLLOUT | manners[round / 2], .data.u64 = 7};
        int set = epoll_create1(0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        EXPECT(round & 1 || reach(fd, HOST, 80) == -1);
        EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
        EXPECT(close(set) == 0 && epoll_create1(0) == set);
        EXPECT(!(round & 1) || reach(fd, HOST, 80) == -1);
        EXPECT(by_poll(fd, -1) == POLLOUT);
        EXPECT(waits_on(set, 0, &event) == 0);
        add(set, fd, EPOLLOUT);
        EXPECT(waits_on(set, 0, &event) == 1 && event.data.u64 == (unsigned)fd);
        EXPECT(close(set) == 0 && close(fd) == 0);
    }
    for (int is_in_flight = 0; is_in_flight < 2; is_in_flight++) {
        struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 7};
        int first = epoll_create1(0), second = epoll_create1(0), fd = begun();
        add(second, fd, EPOLLOUT);
        EXPECT(is_in_flight || by_poll(fd, -1) == POLLOUT);
        EXPECT(close(second) == 0 && dup(first) == second);
        add(first, fd, EPOLLOUT);
        EXPECT(epoll_ctl(second, EPOLL_CTL_MOD, fd, &event) == 0);
        EXPECT(waits_on(first, -1, &event) == 1 && event.data.u64 == 7);
        EXPECT(epoll_ctl(second, EPOLL_CTL_DEL, fd, NULL) == 0);
        FAILS(epoll_ctl(first, EPOLL_CTL_DEL, fd, NULL), ENOENT);
        EXPECT(close(first) == 0 && close(second) == 0 && close(fd) == 0);
    }
}

/* A set whose number is closed is not reached by the library: it shows the connection to Tor's port. */
static void scene_moved_set(void)
{
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    struct epoll_event event;
    int set = epoll_create1(0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    add(set, fd, EPOLLOUT | EPOLLET);
    while (waits_on(set, 0, &event))
        ;
    int moved = dup(set);
    EXPECT(close(set) == 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    EXPECT(waits_on(moved, -1, &event) == 1 && event.data.u64 == (unsigned)fd);
    FAILS(getpeername(fd, (struct sockaddr *)&peer, &length), ENOTCONN);
    EXPECT(by_poll(fd, -1) == POLLOUT);
    is_connected(fd);
}

/* A forked process that closes its descriptors takes no registration out of a set that it shares. */
static void scene_closed_in_child(void)
{
    for (int is_in_flight = 0; is_in_flight < 2; is_in_flight++) {
        struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 7};
        int set = epoll_create1(0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (is_in_flight)
            FAILS(reach(fd, HOST, 80), EINPROGRESS);
        add(set, fd, EPOLLOUT | EPOLLET);
        while (!is_in_flight && waits_on(set, 0, &event))
            ;
        pid_t child = fork();
        if (child == 0)
            _exit(close(fd) == 0 && close_range(3, ~0U, 0) == 0 ? 0 : 1);
        int status = -1;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        if (!is_in_flight)
            FAILS(reach(fd, HOST, 80), EINPROGRESS);
        EXPECT(waits_on(set, -1, &event) == 1 && event.events == EPOLLOUT && event.data.u64 == (unsigned)fd);
        event = (struct epoll_event){.events = EPOLLOUT, .data.u64 = 7};
        EXPECT(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
        EXPECT(waits_on(set, 0, &event) == 1 && event.data.u64 == 7);
        EXPECT(close(set) == 0 && close(fd) == 0);
    }
}

/* From here on epoll_ctl is EPERM. */
static void forbid_changes(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_ctl, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    enter_filter(filter, sizeof filter / sizeof *filter);
}

/* If a filter keeps a set from telling the end, the connect fails, and the set tells that. */
static void scene_denied(void)
{
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u64 = 77};
    int set = epoll_create1(0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error;
    socklen_t size = sizeof error;
    EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    forbid_changes();
    EXPECT(waits_on(set, -1, &event) == 1 && event.data.u64 == 77);
    EXPECT((event.events & (EPOLLERR | EPOLLHUP | EPOLLOUT)) == (EPOLLERR | EPOLLHUP | EPOLLOUT));
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == EPERM);
}

static const struct scene scenes[] = {
    {"several-sets", scene_several_sets},
    {"too-many-sets", scene_too_many_sets},
    {"many-waiters", scene_many_waiters},
    {"oneshot", scene_oneshot},
    {"nested", scene_nested},
    {"dissolved", scene_dissolved},
    {"dissolved-and-closed", scene_dissolved_and_closed},
    {"duplicate-of-a-set", scene_duplicate_of_a_set},
    {"closed-set", scene_closed_set},
    {"moved-set", scene_moved_set},
    {"closed-in-child", scene_closed_in_child},
    {"denied", scene_denied},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
