/* A handshake in flight belongs to the socket, whoever has it, and to nobody else. */
#include "nonblocking.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <wordexp.h>

static void scene_shutdown(void)
{
    int fd = begun();
    char byte;
    FAILS(shutdown(fd, 9), EINVAL);
    EXPECT(shutdown(fd, SHUT_WR) == 0);
    EXPECT((by_poll(fd, 0) & (POLLHUP | POLLERR)) == (POLLHUP | POLLERR));
    FAILS(recv(fd, &byte, 1, 0), ECONNRESET);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    becomes_connected(fd, by_poll);
    fd = begun();
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    EXPECT(connect(fd, &nobody, sizeof nobody) == 0);
    EXPECT(error_of(fd) == ECONNRESET && error_of(fd) == 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    becomes_connected(fd, by_poll);
    /* The next connect is told nothing of it. */
    fd = begun();
    EXPECT(shutdown(fd, SHUT_RDWR) == 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    becomes_connected(fd, by_poll);
}

static void scene_duplicates(void)
{
    set = epoll_create1(0);
    int fd = begun(), second = dup(fd), third = fcntl(fd, F_DUPFD, 100);
    EXPECT(third == 100);
    add(set, second, EPOLLOUT);
    EXPECT(close(fd) == 0);
    FAILS(reach(third, HOST, 80), EALREADY);
    EXPECT(by_epoll(second, 0) == 0);
    EXPECT(by_select(third, -1) == POLLOUT);
    EXPECT(by_epoll(second, -1) == EPOLLOUT);
    EXPECT(close(second) == 0);
    is_connected(third);
}

/* Both the parent and the child wait for the one handshake, and each sees its end. */
static void scene_fork(void)
{
    static ready *const ways[] = {by_poll, by_select, by_epoll};
    for (int way = 0; way < 9; way++) {
        set = epoll_create1(0);
        int fd = begun(), status;
        add(set, fd, EPOLLOUT);
        pid_t child = fork();
        if (child == 0) {
            if (way % 3 == 2) {
                set = epoll_create1(0);
                add(set, fd, EPOLLOUT);
            }
            EXPECT(ways[way % 3](fd, -1) & POLLOUT);
            EXPECT(peer_is(fd, HOST, 80) && error_of(fd) == 0);
            _exit(0);
        }
        EXPECT(ways[way / 3](fd, -1) & POLLOUT);
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        is_connected(fd);
        close(fd);
        close(set);
    }
}

/* The parent closes its descriptor of the socket, or the child does: the other one goes on. */
static void scene_closed_in_one(void)
{
    for (int way = 0; way < 4; way++) {
        int fd = begun(), status, child_goes_on = way & 1;
        /* In half of the ways the handshake has gone on between the fork and the close. */
        pid_t child = fork();
        if ((child == 0) != child_goes_on) {
            if (way & 2)
                by_poll(fd, 0);
            EXPECT(close(fd) == 0);
        }
        if ((child == 0) == child_goes_on) {
            EXPECT(by_poll(fd, -1) & POLLOUT);
            is_connected(fd);
            close(fd);
        }
        if (child == 0)
            _exit(0);
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
    }
}

/* The child goes on with the parent's set and sockets; the parent is gone. */
static void scene_daemonize(void)
{
    set = epoll_create1(0);
    int fd = begun();
    add(set, fd, EPOLLOUT);
    if (fork() != 0)
        _exit(0);
    EXPECT(by_epoll(fd, -1) & POLLOUT);
    is_connected(fd);
}

static void scene_exec(void)
{
    char number[12];
    char *arguments[] = {"nonblocking", "closed", number, NULL};
    int fd = begun();
    snprintf(number, sizeof number, "%d", fd);
    FAILS(execv("/nowhere", arguments), ENOENT);
    EXPECT(fcntl(fd, F_GETFD) == 0);
    execv("/proc/self/exe", arguments);
    EXPECT(!"executed");
}

static void scene_interrupted(void)
{
    static ready *const ways[] = {by_poll, by_select, by_epoll};
    alarmed(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(reach(fd, HOST, 80), EINTR);
    /* It goes on; a connect that may wait waits for its end. */
    EXPECT(by_poll(fd, 0) == 0);
    EXPECT(reach(fd, HOST, 80) == 0);
    is_connected(fd);
    alarmed(SA_RESTART);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    errno = 0;
    EXPECT(reach(fd, HOST, 80) == 0 && errno == 0);
    is_connected(fd);
    /* With a time limit of the socket's own the call is not restarted. */
    alarmed(SA_RESTART);
    struct timeval minute = {.tv_sec = 60};
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof minute) == 0);
    FAILS(reach(fd, HOST, 80), EINTR);
    EXPECT(by_poll(fd, -1) & POLLOUT);
    /* Nothing has told of the success. */
    EXPECT(reach(fd, HOST, 80) == 0);
    is_connected(fd);
    /* poll and its kind are never restarted. */
    for (int way = 0; way < 3; way++) {
        set = epoll_create1(0);
        fd = begun();
        add(set, fd, EPOLLOUT);
        alarmed(SA_RESTART);
        if (way == 0) {
            struct pollfd entry = {.fd = fd, .events = POLLOUT};
            FAILS(poll(&entry, 1, -1), EINTR);
        } else if (way == 1) {
            fd_set out;
            FD_ZERO(&out);
            FD_SET(fd, &out);
            FAILS(select(fd + 1, NULL, &out, NULL, NULL), EINTR);
        } else {
            struct epoll_event event;
            FAILS(epoll_wait(set, &event, 1, -1), EINTR);
        }
        EXPECT(ways[way](fd, -1) & POLLOUT);
        is_connected(fd);
    }
}

static void scene_impatient(void)
{
    struct timeval limit = {.tv_usec = 100000}, seen;
    socklen_t length = sizeof seen;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    FAILS(reach(fd, HOST, 80), EALREADY);
    EXPECT(by_poll(fd, -1) == POLLOUT);
    is_connected(fd);
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &seen, &length) == 0);
    EXPECT(seen.tv_sec == 0 && seen.tv_usec >= 99000 && seen.tv_usec <= 110000);
}

static int connecting;

static void *connects(void *argument)
{
    __atomic_store_n(&connecting, gettid(), __ATOMIC_RELEASE);
    reach((intptr_t)argument, HOST, 80);
    return NULL;
}

static void scene_cancelled(void)
{
    pthread_t thread;
    void *result;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(pthread_create(&thread, NULL, connects, (void *)(intptr_t)fd) == 0);
    wait_until_asleep(&connecting);
    FAILS(reach(fd, HOST, 80), EALREADY);
    EXPECT(pthread_cancel(thread) == 0);
    EXPECT(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    /* Nobody holds the handshake; this one takes it to its end. */
    EXPECT(reach(fd, HOST, 80) == 0);
    is_connected(fd);
}

static long processor_time(void)
{
    struct rusage usage;
    EXPECT(getrusage(RUSAGE_SELF, &usage) == 0);
    return 1000000 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

/* The connect of a thread that waits is undone, and another one of the same socket begins: the thread waits on, or
 * learns of the end of its own. */
static void scene_renewed(void)
{
    long most = 0;
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        struct sockaddr none = {.sa_family = AF_UNSPEC};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        connecting = 0;
        EXPECT(pthread_create(&thread, NULL, connects, (void *)(intptr_t)fd) == 0);
        wait_until_asleep(&connecting);
        EXPECT(connect(fd, &none, sizeof none) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
        FAILS(reach(fd, HOST, 80), EINPROGRESS);
        long before = processor_time();
        EXPECT(by_poll(fd, -1) == POLLOUT);
        long spent = processor_time() - before;
        most = spent > most ? spent : most;
        EXPECT(pthread_join(thread, NULL) == 0);
        is_connected(fd);
    }
    EXPECT(most < 50000);
}

static int number_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    EXPECT(getsockopt(fd, level, name, &value, &length) == 0);
    return value;
}

/* The program's settings are as they were, on a socket that waits and on one that doesn't. */
static void scene_options(void)
{
    for (int kind = 0; kind < 2; kind++) {
        struct timeval limit = {.tv_sec = 70}, seen;
        socklen_t length = sizeof seen;
        int flags = kind ? SOCK_NONBLOCK : 0, on = 1, size = 50000;
        int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
        EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
        EXPECT(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0);
        EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
        EXPECT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0);
        EXPECT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
        EXPECT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
        int sent = number_of(fd, SOL_SOCKET, SO_SNDBUF), received = number_of(fd, SOL_SOCKET, SO_RCVBUF);
        if (kind)
            FAILS(reach(fd, HOST, 80), EINPROGRESS);
        else
            EXPECT(reach(fd, HOST, 80) == 0);
        EXPECT(by_poll(fd, -1) == POLLOUT);
        EXPECT(fcntl(fd, F_GETFL) == (O_RDWR | (kind ? O_NONBLOCK : 0)));
        EXPECT(number_of(fd, IPPROTO_TCP, TCP_NODELAY) == 1);
        EXPECT(number_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
        EXPECT(number_of(fd, SOL_SOCKET, SO_SNDBUF) == sent);
        EXPECT(number_of(fd, SOL_SOCKET, SO_RCVBUF) == received);
        EXPECT(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &seen, &length) == 0 && seen.tv_sec == 70);
        EXPECT(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &seen, &length) == 0 && seen.tv_sec == 70);
        is_connected(fd);
    }
    /* Left off, it is off. */
    int fd = begun();
    EXPECT(by_poll(fd, -1) == POLLOUT && number_of(fd, IPPROTO_TCP, TCP_NODELAY) == 0);
}

/* The next call waits once O_NONBLOCK is cleared in the middle. */
static void scene_cleared(void)
{
    char byte;
    for (int way = 0; way < 4; way++) {
        int fd = begun();
        EXPECT(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0);
        if (way == 0)
            EXPECT(reach(fd, HOST, 80) == 0);
        else if (way == 1)
            EXPECT(send(fd, "hello", 6, 0) == 6);
        else if (way == 2)
            EXPECT(write(fd, "hello", 6) == 6 && read(fd, &byte, 1) == 1);
        else {
            struct timeval limit = {.tv_usec = 20000};
            EXPECT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
            FAILS(recv(fd, &byte, 1, 0), EAGAIN);
            EXPECT(by_poll(fd, 0) == 0 && by_poll(fd, -1) == POLLOUT);
        }
        EXPECT(peer_is(fd, HOST, 80));
        close(fd);
    }
}

static void send_descriptor(int by, int fd)
{
    char byte = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    EXPECT(sendmsg(by, &message, 0) == 1);
}

static int received_descriptor(int by)
{
    int fd = -1;
    char byte, control[CMSG_SPACE(sizeof fd)];
    struct iovec piece = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    EXPECT(recvmsg(by, &message, 0) == 1 && !(message.msg_flags & MSG_CTRUNC));
    EXPECT(CMSG_FIRSTHDR(&message) && CMSG_FIRSTHDR(&message)->cmsg_type == SCM_RIGHTS);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

/* A socket that is sent in the middle of a handshake is connected where it comes out: the message
   waits for the end. It comes out in this process, whose own descriptor is gone or still there, and
   in a child that never had it. */
static void scene_passed(void)
{
    int pair[2], status;
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    set = epoll_create1(0);
    for (int keeps = 0; keeps < 2; keeps++) {
        int fd = begun();
        send_descriptor(pair[0], fd);
        if (!keeps)
            EXPECT(close(fd) == 0);
        int again = received_descriptor(pair[1]);
        add(set, again, EPOLLOUT);
        EXPECT(by_epoll(again, 0) == EPOLLOUT);
        is_connected(again);
        EXPECT(!keeps || peer_is(fd, HOST, 80));
        EXPECT(close(again) == 0);
    }
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        int fd = received_descriptor(pair[1]);
        EXPECT(by_poll(fd, 0) == POLLOUT);
        EXPECT(peer_is(fd, HOST, 80));
        _exit(0);
    }
    int fd = begun();
    send_descriptor(pair[0], fd);
    EXPECT(close(fd) == 0);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

/* A program that is started in whatever way does not get the socket. */
static void scene_spawned(void)
{
    char number[12], self[4096], line[4200] = "";
    char *arguments[] = {"nonblocking", "closed", number, NULL};
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    EXPECT(length > 0);
    self[length] = 0;
    for (int way = 0; way < 5; way++) {
        int fd = begun(), status = -1;
        pid_t child;
        snprintf(number, sizeof number, "%d", fd);
        snprintf(line, sizeof line, "'%s' closed %d >&2", self, fd);
        if (way == 0) {
            EXPECT(posix_spawn(&child, self, NULL, NULL, arguments, environ) == 0);
            EXPECT(waitpid(child, &status, 0) == child);
        } else if (way == 1) {
            EXPECT(posix_spawnp(&child, self, NULL, NULL, arguments, environ) == 0);
            EXPECT(waitpid(child, &status, 0) == child);
        } else if (way == 2) {
            if ((child = fork()) == 0) {
                execv(self, arguments);
                _exit(9);
            }
            EXPECT(waitpid(child, &status, 0) == child);
        } else if (way == 3) {
            status = system(line);
        } else {
            FILE *program = popen(line, "w");
            EXPECT(program);
            status = pclose(program);
        }
        EXPECT(status == 0);
        EXPECT(by_poll(fd, -1) == POLLOUT);
        is_connected(fd);
        EXPECT(!(fcntl(fd, F_GETFD) & FD_CLOEXEC));
        close(fd);
    }
}

/* A file action that gives the socket another number does not give the program the socket. */
static void scene_spawned_by_another_number(void)
{
    char self[4096], *arguments[] = {"nonblocking", "closed", "77", NULL};
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    EXPECT(length > 0);
    self[length] = 0;
    for (int way = 0; way < 2; way++) {
        posix_spawn_file_actions_t actions;
        pid_t child;
        int fd = begun(), status = -1;
        if (way)
            EXPECT(dup2(fd, 77) == 77);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, way ? 77 : fd, 77);
        EXPECT(posix_spawn(&child, self, &actions, NULL, arguments, environ) == 0);
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        close(77);
        EXPECT(by_poll(fd, -1) == POLLOUT);
        is_connected(fd);
    }
}

static char folder[] = "/tmp/flags-XXXXXX", in[64], out[64], command[256];

static void *in_system(void *command)
{
    return (void *)(long)system(command);
}

/* While another thread is in system, the flags are the program's own, and those of the next file. */
static void scene_flags(void)
{
    EXPECT(mkdtemp(folder));
    for (int way = 0; way < 3; way++) {
        pthread_t thread;
        void *status;
        snprintf(in, sizeof in, "%s/in", folder);
        snprintf(out, sizeof out, "%s/out", folder);
        EXPECT(mkfifo(in, 0600) == 0);
        int fd = begun(), file = -1;
        snprintf(command, sizeof command, "touch %s; read x < %s; exit 0", out, in);
        EXPECT(pthread_create(&thread, NULL, in_system, command) == 0);
        while (access(out, F_OK) != 0)
            sched_yield();
        EXPECT(fcntl(fd, F_GETFD) == 0);
        if (way == 0)
            EXPECT(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
        if (way == 1) {
            EXPECT(close(fd) == 0);
            EXPECT((file = open("/dev/null", O_RDONLY | O_CLOEXEC)) == fd);
        }
        close(open(in, O_WRONLY));
        EXPECT(pthread_join(thread, &status) == 0 && (long)status == 0);
        EXPECT(fcntl(fd, F_GETFD) == (way == 2 ? 0 : FD_CLOEXEC));
        close(fd);
        EXPECT(unlink(in) == 0 && unlink(out) == 0);
    }
    EXPECT(rmdir(folder) == 0);
}

/* The shells of wordexp do not get the socket, and all words come as they are. */
static void scene_expanded(void)
{
    static const char *const words[] = {
        "plain", "a b", "it's", "", "$HOME", "*", "two\nlines", "\"", "x", "x",
    };
    wordexp_t expanded = {.we_offs = 2};
    int fd = begun();
    EXPECT(dup2(fd, 77) == 77);
    EXPECT(wordexp("first", &expanded, WRDE_DOOFFS) == 0 && expanded.we_wordc == 1);
    EXPECT(wordexp("plain \"$(echo 'a b')\" \"$(echo \"it's\")\" '' '$HOME' '*' \"$(printf 'two\\nlines')\" '\"' "
                   "$(echo x x; test ! -e /proc/self/fd/77 || echo it-has-the-socket)",
                   &expanded, WRDE_DOOFFS | WRDE_APPEND) == 0);
    EXPECT(expanded.we_wordc == 11 && !expanded.we_wordv[0] && !expanded.we_wordv[1]);
    EXPECT(strcmp(expanded.we_wordv[2], "first") == 0 && !expanded.we_wordv[13]);
    for (int i = 0; i < 10; i++)
        EXPECT(strcmp(expanded.we_wordv[3 + i], words[i]) == 0);
    wordfree(&expanded);
    EXPECT(wordexp("$(", &expanded, 0) == WRDE_SYNTAX);
    EXPECT(wordexp("$(true)", &expanded, WRDE_NOCMD) == WRDE_CMDSUB);
    EXPECT(wordexp("`true` | ", &expanded, 0) == WRDE_BADCHAR);
    EXPECT(fcntl(fd, F_GETFD) == 0);
    EXPECT(by_poll(fd, -1) == POLLOUT);
    is_connected(fd);
}

static volatile int victim = -1;

static void close_victim(int number)
{
    (void)number;
    int fd = victim;
    victim = -1;
    if (fd >= 0)
        close(fd);
}

static void close_again(int number)
{
    close_victim(number);
    alarm_in(70);
}

static void scene_closed_in_handler(void)
{
    struct sigaction action = {.sa_handler = close_again, .sa_flags = SA_RESTART};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    alarm_in(70);
    for (int i = 0; i < 2000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        EXPECT(fd >= 0);
        victim = fd;
        reach(fd, HOST, 80);
        struct pollfd entry = {.fd = fd, .events = POLLOUT};
        poll(&entry, 1, 0);
        int error;
        socklen_t length = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
        close_victim(0);
    }
    alarm_in(0);
    becomes_connected(begun(), by_poll);
}

static const struct scene scenes[] = {
    {"shutdown", scene_shutdown},
    {"duplicates", scene_duplicates},
    {"fork", scene_fork},
    {"closed-in-one", scene_closed_in_one},
    {"daemonize", scene_daemonize},
    {"exec", scene_exec},
    {"interrupted", scene_interrupted},
    {"impatient", scene_impatient},
    {"cancelled", scene_cancelled},
    {"renewed", scene_renewed},
    {"options", scene_options},
    {"cleared", scene_cleared},
    {"spawned", scene_spawned},
    {"spawned-by-another-number", scene_spawned_by_another_number},
    {"flags", scene_flags},
    {"expanded", scene_expanded},
    {"passed", scene_passed},
    {"closed-in-handler", scene_closed_in_handler},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    if (count == 3 && strcmp(arguments[1], "closed") == 0) {
        FAILS(fcntl(atoi(arguments[2]), F_GETFD), EBADF);
        puts("done");
        return 0;
    }
    return play(scenes, count, arguments);
}
