/* A server that would let everybody in, with AllowInbound loopback. */
#define _GNU_SOURCE 1
#include <sys/syscall.h>

#include "scene.h"

static int is_bound(int fd, const char *text)
{
    char seen[INET6_ADDRSTRLEN];
    struct sockaddr_storage local;
    socklen_t length = sizeof local;
    EXPECT(getsockname(fd, (struct sockaddr *)&local, &length) == 0);
    const void *address = local.ss_family == AF_INET
        ? (void *)&((struct sockaddr_in *)&local)->sin_addr
        : (void *)&((struct sockaddr_in6 *)&local)->sin6_addr;
    EXPECT(inet_ntop(local.ss_family, address, seen, sizeof seen));
    return strcmp(seen, text) == 0 && ((struct sockaddr_in *)&local)->sin_port != 0;
}

static void listens(int fd, const char *text)
{
    EXPECT(listen(fd, 1) == 0 && is_bound(fd, text));
    struct sockaddr_storage local;
    socklen_t length = sizeof local;
    EXPECT(getsockname(fd, (struct sockaddr *)&local, &length) == 0);
    int client = (int)raw(SYS_socket, local.ss_family, SOCK_STREAM, 0, 0);
    EXPECT(raw(SYS_connect, client, (long)&local, length, 0) == 0);
    int served = accept(fd, NULL, NULL);
    EXPECT(served >= 0 && close(served) == 0 && close(client) == 0 && close(fd) == 0);
}

static void scene_loopback(void)
{
    struct sockaddr_in any = v4("0.0.0.0", 0), own = v4("127.0.0.2", 0);
    struct sockaddr_in6 any6 = v6("::", 0);
    int only = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(fd, (void *)&any, sizeof any) == 0);
    FAILS(bind(fd, (void *)&any, sizeof any), EINVAL);
    listens(fd, "127.0.0.1");
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(syscall(SYS_bind, fd, &any, sizeof any) == 0);
    listens(fd, "127.0.0.1");
    listens(socket(AF_INET, SOCK_STREAM, 0), "127.0.0.1");
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(fd, (void *)&own, sizeof own) == 0);
    listens(fd, "127.0.0.2");

    fd = socket(AF_INET6, SOCK_STREAM, 0);
    EXPECT(bind(fd, (void *)&any6, sizeof any6) == 0);
    listens(fd, "::ffff:127.0.0.1");
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    EXPECT(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0);
    EXPECT(bind(fd, (void *)&any6, sizeof any6) == 0);
    listens(fd, "::1");

    FAILS(bind(fd = socket(AF_INET, SOCK_STREAM, 0), (void *)&any6, sizeof any6), EAFNOSUPPORT);
    FAILS(bind(fd, (void *)8, sizeof any), EFAULT);
    FAILS(bind(-1, (void *)&any, sizeof any), EBADF);
    FAILS(bind(0, (void *)&any, sizeof any), ENOTSOCK);
    /* A socket that was bound by a raw system call is not let in. */
    EXPECT(raw(SYS_bind, fd, (long)&any, sizeof any, 0) == 0);
    FAILS(listen(fd, 1), EPERM);
}

/* The socket that is bound to lo reaches the proxy. */
static void scene_connects(void)
{
    struct sockaddr_in any = v4("0.0.0.0", 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(fd, (void *)&any, sizeof any) == 0);
    EXPECT(reach(fd, "192.0.2.1", 80) == 0 && echoes(fd));
}

/* Reaches DIRECT_PORT of 127.0.0.1 past the proxy, and no other port. */
static void scene_direct(void)
{
    int port = atoi(getenv("DIRECT_PORT"));
    char answer[6];
    int fd = connected("127.0.0.1", port);
    EXPECT(peer_is(fd, "127.0.0.1", port));
    EXPECT(recv(fd, answer, 6, MSG_WAITALL) == 6 && strcmp(answer, "hello") == 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(reach(fd, "127.0.0.1", port ^ 1), EPERM);
    FAILS(reach(fd, "192.168.1.1", 80), EPERM);
    FAILS(reach(fd, "10.0.0.1", 80), EPERM);
    FAILS(reach(fd, "169.254.169.254", 80), EPERM);
    EXPECT(reach(fd, "192.0.2.1", 80) == 0 && echoes(fd));
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {
        {"loopback", scene_loopback},
        {"connects", scene_connects},
        {"direct", scene_direct},
        {NULL, NULL},
    };
    return play(scenes, count, arguments);
}
