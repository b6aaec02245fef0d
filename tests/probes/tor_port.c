/* A program that speaks SOCKS to Tor's port by itself, one scene for each argument. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "scene.h"

static int port(void)
{
    return atoi(getenv("EPOCHSOCKS_TOR_PORT"));
}

static int peer_port(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    EXPECT(getpeername(fd, (struct sockaddr *)&peer, &length) == 0);
    return ntohs(((struct sockaddr_in *)&peer)->sin_port);
}

static void answers(int fd, const char *request, size_t length, const char *reply, size_t expected)
{
    char answer[16];
    EXPECT(send(fd, request, length, 0) == (ssize_t)length);
    EXPECT(recv(fd, answer, expected, MSG_WAITALL) == (ssize_t)expected);
    EXPECT(memcmp(answer, reply, 2) == 0);
}

static void requests(int fd)
{
    answers(fd, "\5\1\0\3\7x.onion\0\120", 14, "\5\0", 10);
    EXPECT(echoes(fd));
    EXPECT(peer_port(fd) == port());
}

static void speaks_socks(int fd)
{
    answers(fd, "\5\1\0", 3, "\5\0", 2);
    requests(fd);
    EXPECT(close(fd) == 0);
}

static void scene_forms(void)
{
    struct sockaddr_in tor = v4("127.0.0.1", port());
    struct sockaddr_in6 mapped = v6("::ffff:127.0.0.1", port());
    int fd = connected("127.0.0.1", port());
    EXPECT(peer_is(fd, "127.0.0.1", port()));
    FAILS(reach(fd, "192.0.2.1", 80), EISCONN);
    FAILS(reach(fd, "127.0.0.1", port()), EISCONN);
    speaks_socks(fd);

    fd = socket(AF_INET6, SOCK_STREAM, 0);
    EXPECT(connect(fd, (struct sockaddr *)&mapped, sizeof mapped) == 0);
    speaks_socks(fd);

    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(syscall(SYS_connect, fd, &tor, sizeof tor) == 0);
    speaks_socks(fd);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fd, (struct sockaddr *)&tor, sizeof tor) != 0)
        EXPECT(errno == EINPROGRESS);
    struct pollfd ready = {fd, POLLOUT, 0};
    int failure = -1;
    socklen_t length = sizeof failure;
    EXPECT(poll(&ready, 1, -1) == 1 && ready.revents == POLLOUT);
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 && failure == 0);
    EXPECT(fcntl(fd, F_SETFL, 0) == 0);
    speaks_socks(fd);

    char answer[2];
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(sendto(fd, "\5\1\0", 3, MSG_FASTOPEN, (struct sockaddr *)&tor, sizeof tor) == 3);
    EXPECT(recv(fd, answer, 2, MSG_WAITALL) == 2 && memcmp(answer, "\5\0", 2) == 0);
    requests(fd);
    EXPECT(close(fd) == 0);
}

/* A connection that leads through Tor already is not led to Tor's port. */
static void scene_occupied(void)
{
    struct sockaddr_in there = v4("192.0.2.1", 80);
    int fd = connected("192.0.2.1", 80);
    FAILS(reach(fd, "127.0.0.1", port()), EISCONN);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && echoes(fd));

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    FAILS(connect(fd, (struct sockaddr *)&there, sizeof there), EINPROGRESS);
    EXPECT(reach(fd, "127.0.0.1", port()) == -1 && (errno == EALREADY || errno == EISCONN));
    struct pollfd ready = {fd, POLLOUT, 0};
    EXPECT(poll(&ready, 1, -1) == 1 && ready.revents == POLLOUT);
    FAILS(reach(fd, "127.0.0.1", port()), EISCONN);
    EXPECT(peer_is(fd, "192.0.2.1", 80));
}

/* Nothing beside that port is reached. */
static void scene_neighbours(void)
{
    struct sockaddr_in6 six = v6("::1", port());
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(reach(fd, "127.0.0.1", port() ^ 1), EPERM);
    FAILS(reach(fd, "127.0.0.2", port()), EPERM);
    FAILS(reach(fd, "0.0.0.0", port()), EPERM);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    FAILS(connect(fd, (struct sockaddr *)&six, sizeof six), EPERM);
}

/* In a program that inherits the socket, and one that is sent it, Tor's port is the peer, and the
   socket is not taken for one that a hook has led through Tor. */
static void scene_handed_on(void)
{
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'x';
    int fd = connected("127.0.0.1", port()), pair[2], status;
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
        .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    EXPECT(sendmsg(pair[0], &message, 0) == 1);
    EXPECT(dup2(fd, 100) == 100 && dup2(pair[1], 101) == 101);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "tor_port", "inheriting", NULL);
        _exit(1);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    speaks_socks(fd);
}

static void scene_inheriting(void)
{
    char control[CMSG_SPACE(sizeof(int))], byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
        .msg_controllen = sizeof control};
    EXPECT(peer_is(100, "127.0.0.1", port()));
    EXPECT(close(100) == 0);
    FAILS(recvmsg(101, &message, 0), EACCES);
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {
        {"forms", scene_forms},
        {"occupied", scene_occupied},
        {"neighbours", scene_neighbours},
        {"handed-on", scene_handed_on},
        {"inheriting", scene_inheriting},
        {NULL, NULL},
    };
    return play(scenes, count, arguments);
}
