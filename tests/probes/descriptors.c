/* The life of a descriptor, one scene for each argument. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <pty.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <utmp.h>

#include "scene.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4
#endif

extern char **environ;
extern __typeof__(close) __close;
extern __typeof__(dup2) __dup2;
extern __typeof__(connect) __connect;
extern __typeof__(fcntl) __fcntl;
extern __typeof__(fclose) _IO_fclose;

static int is_open(int fd)
{
    return raw(SYS_fcntl, fd, F_GETFD, 0, 0) >= 0;
}

static int tracked(int fd)
{
    return is_open(fd) && peer_is(fd, "192.0.2.1", 80) && echoes(fd);
}

static void close_range_by(int (*form)(unsigned, unsigned, int))
{
    int fd = connected("192.0.2.1", 80), copy = dup2(fd, 700);
    EXPECT(form(fd, copy, CLOSE_RANGE_CLOEXEC) == 0);
    EXPECT(fcntl(copy, F_GETFD) == FD_CLOEXEC && tracked(fd) && tracked(copy));
    FAILS(form(fd, copy, 1 << 30), EINVAL);
    FAILS(form(copy, fd, 0), EINVAL);
    EXPECT(tracked(fd) && tracked(copy));
    errno = EXDEV;
    EXPECT(form(fd + 1, copy, 0) == 0 && errno == EXDEV);
    EXPECT(tracked(fd) && is_forgotten(copy));
    EXPECT(form(3, ~0U, CLOSE_RANGE_UNSHARE) == 0);
    EXPECT(is_forgotten(fd));
}

static int by_syscall(unsigned first, unsigned last, int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}

static void scene_close_range(void)
{
    close_range_by(close_range);
    close_range_by(by_syscall);
}

static void scene_closefrom(void)
{
    int fd = connected("192.0.2.1", 80), copy = dup2(fd, 700);
    closefrom(fd + 1);
    EXPECT(tracked(fd) && is_forgotten(copy));
    closefrom(3);
    EXPECT(is_forgotten(fd));
    pid_t child = fork();
    if (child == 0) {
        /* Without 0 to 2 the library goes on, and takes none of them. */
        closefrom(-1);
        fd = connected("192.0.2.1", 80);
        _exit(fd == 0 && tracked(fd) && close(fd) == 0 && is_forgotten(fd) && !is_open(1) ? 0 : 1);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

static void scene_fclose(void)
{
    int fd = connected("192.0.2.1", 80), copy = dup(fd);
    FILE *stream = fdopen(fd, "r+");
    EXPECT(stream && fputs("hello", stream) >= 0);
    EXPECT(fclose(stream) == 0);
    EXPECT(is_forgotten(fd) && peer_is(copy, "192.0.2.1", 80));
    char text[6] = "";
    EXPECT(recv(copy, text, 5, MSG_WAITALL) == 5 && strcmp(text, "hello") == 0);

    /* A stream without a descriptor, and one whose descriptor is gone. */
    char memory[8];
    errno = EXDEV;
    EXPECT(fclose(fmemopen(memory, sizeof memory, "w")) == 0 && errno == EXDEV);
    stream = fdopen(copy, "r+");
    EXPECT(close(copy) == 0 && fclose(stream) == EOF && errno == EBADF);
    EXPECT(is_forgotten(copy));
}

static void freopen_by(FILE *(*form)(const char *, const char *, FILE *))
{
    int fd = connected("192.0.2.1", 80), copy = dup(fd);
    FILE *stream = fdopen(fd, "r+");
    EXPECT(form("/dev/null", "r", stream) == stream && fileno(stream) == fd);
    struct sockaddr_in seen;
    socklen_t length = sizeof seen;
    FAILS(getpeername(fd, (struct sockaddr *)&seen, &length), ENOTSOCK);
    EXPECT(fclose(stream) == 0);

    stream = fdopen(copy, "r+");
    EXPECT(form("/no/such/file", "r", stream) == NULL && errno == ENOENT);
    EXPECT(is_forgotten(copy));
}

static void scene_freopen(void)
{
    freopen_by(freopen);
    freopen_by(freopen64);
}

static void fcntl_by(int (*form)(int, int, ...))
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), before = form(fd, F_DUPFD, 500);
    EXPECT(before == 500 && reach(before, "192.0.2.1", 80) == 0);
    FAILS(reach(fd, "192.0.2.1", 80), EISCONN);
    errno = EXDEV;
    int after = form(fd, F_DUPFD_CLOEXEC, 500);
    EXPECT(after == 501 && form(after, F_GETFD) == FD_CLOEXEC && errno == EXDEV);
    EXPECT(tracked(fd) && tracked(before) && tracked(after));
    EXPECT(form(fd, F_SETFL, O_NONBLOCK) == 0 && form(after, F_GETFL) & O_NONBLOCK);
    FAILS(form(fd, F_DUPFD, -1), EINVAL);
    FAILS(form(999, F_DUPFD, 0), EBADF);
    EXPECT(close(fd) == 0 && close(before) == 0 && peer_is(after, "192.0.2.1", 80));
    EXPECT(close(after) == 0 && is_forgotten(after) && is_forgotten(before));
}

static int fcntl_by_syscall(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long argument = va_arg(list, long);
    va_end(list);
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

static void scene_fcntl(void)
{
    fcntl_by(fcntl);
    fcntl_by(fcntl64);
    fcntl_by(fcntl_by_syscall);
}

static void scene_aliases(void)
{
    struct sockaddr_in address = v4("192.0.2.1", 80);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(__connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    int two = __dup2(fd, 600), three = __fcntl(fd, F_DUPFD, 600);
    EXPECT(tracked(fd) && tracked(two) && tracked(three));
    EXPECT(__close(fd) == 0 && is_forgotten(fd));
    EXPECT(_IO_fclose(fdopen(two, "r")) == 0 && is_forgotten(two));
    EXPECT(tracked(three));

    /* Those that no program can link to. */
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    __typeof__(socket) *make = dlsym(libc, "__socket");
    __typeof__(fcntl) *control = dlsym(libc, "__libc_fcntl64");
    if (!control) /* since glibc 2.43 */
        control = __fcntl;
    __typeof__(recv) *receive = dlsym(libc, "__recv");
    __typeof__(sendmmsg) *send_many = dlsym(libc, "__sendmmsg");
    EXPECT(make && control && receive && send_many);
    FAILS(make(AF_INET, SOCK_DGRAM, 136 /* UDP-Lite */), EPERM);
    int four = control(three, F_DUPFD, 600);
    EXPECT(tracked(four));
    char text[] = "hello", answer[6];
    struct iovec data = {text, 6};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &data, .msg_iovlen = 1}};
    EXPECT(send_many(four, &message, 1, 0) == 1 && receive(four, answer, 6, MSG_WAITALL) == 6);
    message.msg_hdr.msg_name = &address;
    message.msg_hdr.msg_namelen = sizeof address;
    FAILS(send_many((int)raw(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0), &message, 1, 0), EPERM);
    static const char *const forks[] = {"__fork", "__libc_fork"};
    for (int i = 0; i < 2; i++) {
        __typeof__(fork) *make_child = dlsym(libc, forks[i]);
        EXPECT(make_child);
        pid_t child = make_child();
        if (child == 0)
            _exit(!(tracked(four) && close(four) == 0 && is_forgotten(four)));
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0 && tracked(four));
    }
}

static void scene_shutdown(void)
{
    int fd = connected("192.0.2.1", 80), copy = dup(fd);
    EXPECT(echoes(fd) && shutdown(copy, SHUT_WR) == 0);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && peer_is(copy, "192.0.2.1", 80));
    FAILS(reach(fd, "192.0.2.1", 80), EISCONN);
    FAILS(shutdown(999, SHUT_RD), EBADF);
}

static void scene_accept(void)
{
    struct sockaddr_in address = v4("127.0.0.1", 0), seen;
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 4) == 0);
    EXPECT(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    for (int form = 0; form < 3; form++) {
        /* An entry whose descriptor is closed behind the library's back, and taken by accept. */
        int fd = connected("192.0.2.1", 80);
        int client = (int)raw(SYS_socket, AF_INET, SOCK_STREAM, 0, 0);
        EXPECT(raw(SYS_connect, client, (long)&address, sizeof address, 0) == 0);
        EXPECT(raw(SYS_close, fd, 0, 0, 0) == 0);
        int accepted = form == 0 ? accept(listener, NULL, NULL)
            : form == 1          ? accept4(listener, NULL, NULL, SOCK_CLOEXEC)
                                 : (int)syscall(SYS_accept4, listener, NULL, NULL, 0);
        EXPECT(accepted == fd);
        struct sockaddr_in own;
        length = sizeof own;
        EXPECT(raw(SYS_getsockname, client, (long)&own, (long)&length, 0) == 0);
        EXPECT(getpeername(accepted, (struct sockaddr *)&seen, &length) == 0);
        EXPECT(seen.sin_port == own.sin_port && seen.sin_addr.s_addr == own.sin_addr.s_addr);
        close(accepted);
        close(client);
    }
}

/* listen, accept and accept4 by every name, on a socket bound to `address`. */
static void listens(const void *address, socklen_t length, int family, int error)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    EXPECT(length == 0 || bind(fd, address, length) == 0);
    int expected = error ? error : EAGAIN;
    if (error) {
        FAILS(listen(fd, 1), error);
        FAILS(syscall(SYS_listen, fd, 1), error);
        /* As it may come from elsewhere. */
        EXPECT(raw(SYS_listen, fd, 1, 0, 0) == 0);
    } else {
        errno = EXDEV;
        EXPECT(listen(fd, 1) == 0 && errno == EXDEV);
    }
    FAILS(accept(fd, NULL, NULL), expected);
    FAILS(accept4(fd, NULL, NULL, SOCK_CLOEXEC), expected);
    FAILS(syscall(SYS_accept, fd, NULL, NULL), expected);
    FAILS(syscall(SYS_accept4, fd, NULL, NULL, 0), expected);
    EXPECT(close(fd) == 0);
}

static void ways_in(int error)
{
    struct sockaddr_in any = v4("0.0.0.0", 0), local = v4("127.0.0.1", 0);
    struct sockaddr_in6 wide = v6("::", 0), mapped = v6("::ffff:127.0.0.1", 0), one = v6("::1", 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    listens(&any, sizeof any, AF_INET, error);
    listens(&wide, sizeof wide, AF_INET6, error);
    /* Not bound, which is bound to every address. */
    listens(NULL, 0, AF_INET, error);
    listens(NULL, 0, AF_INET6, error);
    listens(&local, sizeof local, AF_INET, 0);
    listens(&mapped, sizeof mapped, AF_INET6, 0);
    listens(&name, sizeof(sa_family_t), AF_UNIX, 0);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&one, sizeof one) == 0)
        listens(&one, sizeof one, AF_INET6, 0);
    FAILS(listen(999, 1), EBADF);
    FAILS(listen(0, 1), ENOTSOCK);
    FAILS(accept(999, NULL, NULL), EBADF);
}

static void scene_no_way_in(void)
{
    ways_in(EPERM);
}

static void scene_way_in(void)
{
    ways_in(0);
}

/* In a spawned child 0 is the socket; it sees no peer of its parent's table. */
static void scene_spawn(void)
{
    int fd = connected("192.0.2.1", 80), other = connected("192.0.2.2", 80), status;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 0);
    posix_spawn_file_actions_adddup2(&actions, fd, other);
    posix_spawn_file_actions_addclose(&actions, fd);
    posix_spawn_file_actions_addopen(&actions, 700, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    char *arguments[] = {"true", NULL};
    pid_t child;
    EXPECT(posix_spawn(&child, "/bin/true", &actions, NULL, arguments, environ) == 0);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(tracked(fd) && peer_is(other, "192.0.2.2", 80) && echoes(other));
    EXPECT(close(fd) == 0 && is_forgotten(fd));
}

static void scene_daemon(void)
{
    int fd = connected("192.0.2.1", 80), status, message[2];
    EXPECT(pipe(message) == 0);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(dup2(fd, 0) == 0 && tracked(0));
        EXPECT(daemon(1, 0) == 0);
        struct sockaddr_in seen;
        socklen_t length = sizeof seen;
        int right = getpeername(0, (struct sockaddr *)&seen, &length) == -1 && errno == ENOTSOCK
            && tracked(fd);
        EXPECT(write(message[1], &right, sizeof right) == sizeof right);
        _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    int right = 0;
    EXPECT(read(message[0], &right, sizeof right) == sizeof right && right);
    EXPECT(tracked(fd));
}

static void scene_login_tty(void)
{
    int fd = connected("192.0.2.1", 80), copy = dup2(fd, 0);
    EXPECT(copy == 0);
    /* A socket is no terminal. */
    FAILS(login_tty(fd), ENOTTY);
    EXPECT(tracked(0) && tracked(fd));
}

static void scene_forkpty(void)
{
    int terminal, status, fd = connected("192.0.2.1", 80);
    EXPECT(dup2(fd, 0) == 0);
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    if (child == 0) {
        struct sockaddr_in seen;
        socklen_t length = sizeof seen;
        _exit(getpeername(0, (struct sockaddr *)&seen, &length) == -1 && errno == ENOTSOCK
                      && tracked(fd)
                  ? 0
                  : 1);
    }
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    EXPECT(tracked(0) && tracked(fd));
}

static void *look_up(void *result)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
    *(int *)result = getaddrinfo("slow.test", "80", &hints, &list);
    if (list)
        freeaddrinfo(list);
    return NULL;
}

/* Descriptors that other threads look names up by are none of the program's. The proxy answers late. */
static void scene_own(void)
{
    pthread_t thread;
    int result = -1, own, status;
    EXPECT(pthread_create(&thread, NULL, look_up, &result) == 0);
    struct sockaddr_in seen;
    socklen_t length = sizeof seen;
    for (own = 3; raw(SYS_getpeername, own, (long)&seen, (long)&length, 0) < 0;)
        own = own == 1023 ? 3 : own + 1;
    FAILS(close(own), EBADF);
    FAILS(dup2(0, own), EBUSY);
    EXPECT(close_range(3, ~0U, 0) == 0 && is_open(own));
    closefrom(3);
    EXPECT(is_open(own));
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    EXPECT(is_open(own));
    pid_t child = fork();
    if (child == 0)
        _exit(is_open(own));
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(pthread_join(thread, NULL) == 0 && result == 0 && !is_open(own));
}

static const struct scene scenes[] = {
    {"close-range", scene_close_range},
    {"closefrom", scene_closefrom},
    {"fclose", scene_fclose},
    {"freopen", scene_freopen},
    {"fcntl", scene_fcntl},
    {"aliases", scene_aliases},
    {"shutdown", scene_shutdown},
    {"accept", scene_accept},
    {"no-way-in", scene_no_way_in},
    {"way-in", scene_way_in},
    {"spawn", scene_spawn},
    {"daemon", scene_daemon},
    {"login-tty", scene_login_tty},
    {"forkpty", scene_forkpty},
    {"own", scene_own},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
