/* torsocks SCENE [ONION]: what a program sees of its calls under torsocks, one scene a call; and
 * torsocks end WAY: ends with status 42, while it is connected. The world has v4only.test and
 * 198.51.100.1, which are each other's, with an echo on port 7. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "scene.h"

#define WORLD "198.51.100.1"

static const char *onion_name;

static int is(const void *address, const char *text)
{
    struct in_addr expected;
    return inet_pton(AF_INET, text, &expected) == 1 && !memcmp(address, &expected, 4);
}

static int is_cookie(const void *address)
{
    return !memcmp(address, "\x7f\x2a\x2a", 3); /* 127.42.42.0/24 */
}

/* Answer of the lookup functions for a name; 0 where they don't agree with each other. */
static struct in_addr found(const char *name)
{
    static const struct in_addr none;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    struct hostent entry, *result = NULL, *by_name = gethostbyname(name);
    struct in_addr address, other;
    char buffer[1024];
    int error;
    if (!by_name || by_name->h_length != 4 || by_name->h_addrtype != AF_INET)
        return none;
    memcpy(&address, by_name->h_addr, 4);
    if (getaddrinfo(name, NULL, &hints, &list) != 0)
        return none;
    memcpy(&other, &((struct sockaddr_in *)list->ai_addr)->sin_addr, 4);
    freeaddrinfo(list);
    if (gethostbyname_r(name, &entry, buffer, sizeof buffer, &result, &error) != 0 || !result)
        return none;
    if (memcmp(&address, &other, 4) != 0 || memcmp(&address, result->h_addr, 4) != 0)
        return none;
    by_name = gethostbyname2(name, AF_INET);
    return by_name && !memcmp(&address, by_name->h_addr, 4) ? address : none;
}

static void scene_lookups(void)
{
    struct in_addr address = found("v4only.test");
    EXPECT(is(&address, WORLD));
    address = found("198.51.100.7");
    EXPECT(is(&address, "198.51.100.7"));
    address = found("localhost");
    EXPECT(is(&address, "127.0.0.1"));
    struct addrinfo *list;
    EXPECT(getaddrinfo("v4only.test", "7", NULL, &list) == 0);
    EXPECT(((struct sockaddr_in *)list->ai_addr)->sin_port == htons(7));
    freeaddrinfo(list);
}

static void scene_unknown(void)
{
    struct addrinfo *list;
    struct hostent entry, *result = &entry;
    char buffer[1024];
    int error = 0;
    EXPECT(!gethostbyname("missing.test") && h_errno == HOST_NOT_FOUND);
    EXPECT(getaddrinfo("missing.test", NULL, NULL, &list) == EAI_NONAME);
    gethostbyname_r("missing.test", &entry, buffer, sizeof buffer, &result, &error);
    EXPECT(!result && error == HOST_NOT_FOUND);
}

static void scene_reverse(void)
{
    struct sockaddr_in world = v4(WORLD, 7);
    struct hostent entry, *result = gethostbyaddr(&world.sin_addr, 4, AF_INET);
    char buffer[1024];
    int error;
    EXPECT(result && !strcmp(result->h_name, "v4only.test"));
    EXPECT(gethostbyaddr_r(&world.sin_addr, 4, AF_INET, &entry, buffer, sizeof buffer, &result,
                           &error) == 0);
    EXPECT(result && !strcmp(result->h_name, "v4only.test"));
    EXPECT(getnameinfo((struct sockaddr *)&world, sizeof world, buffer, sizeof buffer, NULL, 0,
                       NI_NAMEREQD) == 0);
    EXPECT(!strcmp(buffer, "v4only.test"));
}

static void scene_onion(void)
{
    struct in_addr address = found(onion_name), again = found(onion_name);
    EXPECT(is_cookie(&address) && !memcmp(&address, &again, 4));
    struct in_addr other =
        found("duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion");
    EXPECT(is_cookie(&other) && memcmp(&address, &other, 4) != 0);
    struct hostent *back = gethostbyaddr(&address, 4, AF_INET);
    EXPECT(back && !strcmp(back->h_name, onion_name));
}

static void scene_onion_connection(void)
{
    struct in_addr address = found(onion_name);
    char text[INET_ADDRSTRLEN];
    EXPECT(is_cookie(&address) && inet_ntop(AF_INET, &address, text, sizeof text));
    int fd = connected(text, 7);
    EXPECT(peer_is(fd, text, 7) && echoes(fd));
}

static void scene_socket(void)
{
    EXPECT(close(socket(AF_INET, SOCK_STREAM, 0)) == 0);
    EXPECT(close(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP)) == 0);
    EXPECT(close(socket(AF_UNIX, SOCK_STREAM, 0)) == 0);
    EXPECT(close(socket(AF_UNIX, SOCK_DGRAM, 0)) == 0);
    /* torsocks makes no UDP socket; here one may be made and asked, and sends nothing. */
    struct sockaddr_in far = v4("192.0.2.1", 9);
    int datagram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT(datagram >= 0);
    FAILS(sendto(datagram, "x", 1, 0, (struct sockaddr *)&far, sizeof far), EPERM);
    FAILS(connect(datagram, (struct sockaddr *)&far, sizeof far), EPERM);
    EXPECT(close(datagram) == 0);
    FAILS(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
}

static void scene_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), six = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in world = v4(WORLD, 7);
    struct sockaddr_in6 local = v6("::1", 80), any = v6("::", 80);
    FAILS(reach(fd, "127.0.0.1", 80), EPERM);
    FAILS(reach(fd, "127.9.9.9", 80), EPERM);
    FAILS(reach(fd, "0.0.0.0", 80), EPERM);
    FAILS(connect(six, (struct sockaddr *)&local, sizeof local), EPERM);
    FAILS(connect(six, (struct sockaddr *)&any, sizeof any), EPERM);
    FAILS(connect(fd, NULL, sizeof world), EFAULT);
    FAILS(connect(fd, (struct sockaddr *)&world, 1), EINVAL);
    FAILS(reach(-1, WORLD, 7), EBADF);
    int file = open("/dev/null", O_RDWR);
    FAILS(reach(file, WORLD, 7), ENOTSOCK);
}

static void scene_unix(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX}, peer;
    socklen_t bound = sizeof(sa_family_t), length = sizeof peer;
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(bind(server, (struct sockaddr *)&name, bound) == 0 && listen(server, 1) == 0);
    bound = sizeof name;
    EXPECT(getsockname(server, (struct sockaddr *)&name, &bound) == 0);
    EXPECT(connect(client, (struct sockaddr *)&name, bound) == 0);
    EXPECT(getpeername(client, (struct sockaddr *)&peer, &length) == 0);
    EXPECT(length == bound && peer.sun_family == AF_UNIX);
    int accepted = accept(server, NULL, NULL);
    EXPECT(write(client, "x", 1) == 1 && read(accepted, &peer, 1) == 1);
}

static void scene_getpeername(void)
{
    struct sockaddr_in peer, unset = {0};
    struct sockaddr *to = (struct sockaddr *)&peer;
    socklen_t length = sizeof peer;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(getpeername(fd, to, &length), ENOTCONN);
    FAILS(getpeername(-1, to, &length), EBADF);
    int file = open("/dev/null", O_RDWR);
    FAILS(getpeername(file, to, &length), ENOTSOCK);
    EXPECT(reach(fd, WORLD, 7) == 0 && peer_is(fd, WORLD, 7));
    FAILS(getpeername(fd, NULL, &length), EFAULT);
    FAILS(getpeername(fd, to, NULL), EFAULT);
    errno = EXDEV;
    peer = unset;
    length = 4;
    EXPECT(getpeername(fd, to, &length) == 0 && errno == EXDEV);
    EXPECT(length == sizeof peer && peer.sin_port == htons(7) && peer.sin_addr.s_addr == 0);
    EXPECT(echoes(fd) && close(fd) == 0);
    FAILS(getpeername(fd, to, &length), EBADF);
}

static void scene_listen(void)
{
    struct sockaddr_in any = v4("0.0.0.0", 0), local = v4("127.0.0.1", 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0), inside = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(fd, (struct sockaddr *)&any, sizeof any) == 0);
    FAILS(listen(fd, 1), EPERM);
    EXPECT(bind(inside, (struct sockaddr *)&local, sizeof local) == 0);
    EXPECT(listen(inside, 1) == 0);
}

/* Sends fd through a socket pair and returns what recvmsg makes of it: the new fd, or -1. */
static int passed(int fd)
{
    int pair[2];
    char byte = 'x';
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control.bytes};
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    EXPECT(sendmsg(pair[0], &message, 0) == 1);
    memset(&control, 0, sizeof control);
    message.msg_controllen = sizeof control.bytes;
    ssize_t received = recvmsg(pair[1], &message, 0);
    int error = errno;
    close(pair[0]);
    close(pair[1]);
    errno = error;
    if (received < 0)
        return -1;
    EXPECT(received == 1 && CMSG_FIRSTHDR(&message));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static void scene_pass(void)
{
    FAILS(passed(socket(AF_INET, SOCK_STREAM, 0)), EACCES);
    FAILS(passed(socket(AF_INET6, SOCK_STREAM, 0)), EACCES);
    EXPECT(passed(socket(AF_UNIX, SOCK_STREAM, 0)) >= 0);
    int file = passed(open("/dev/zero", O_RDONLY));
    char byte = 'x';
    EXPECT(file >= 0 && read(file, &byte, 1) == 1 && byte == 0);
}

static void scene_fork(void)
{
    int fd = connected(WORLD, 7), status;
    pid_t child = fork();
    if (child == 0)
        _exit(peer_is(fd, WORLD, 7) && echoes(fd) && echoes(connected(WORLD, 7)) ? 0 : 1);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(peer_is(fd, WORLD, 7) && echoes(fd));
}

static void *end_from_thread(void *nothing)
{
    exit(42);
    return nothing;
}

static int end(const char *way)
{
    pthread_t thread;
    int status, fd = connected(WORLD, 7);
    EXPECT(echoes(fd));
    if (!strcmp(way, "exit"))
        exit(42);
    if (!strcmp(way, "_exit"))
        _exit(42);
    if (!strcmp(way, "_Exit"))
        _Exit(42);
    if (!strcmp(way, "quick_exit"))
        quick_exit(42);
    if (!strcmp(way, "exit_group"))
        syscall(SYS_exit_group, 42);
    if (!strcmp(way, "thread")) {
        pthread_create(&thread, NULL, end_from_thread, NULL);
        pthread_join(thread, NULL);
    }
    if (!strcmp(way, "child")) {
        if (fork() == 0)
            exit(40);
        EXPECT(wait(&status) > 0 && echoes(fd));
        return WEXITSTATUS(status) + 2;
    }
    return 42;
}

int main(int argc, char **argv)
{
    static const struct scene scenes[] = {
        {"lookups", scene_lookups},
        {"unknown", scene_unknown},
        {"reverse", scene_reverse},
        {"onion", scene_onion},
        {"onion_connection", scene_onion_connection},
        {"socket", scene_socket},
        {"connect", scene_connect},
        {"unix", scene_unix},
        {"getpeername", scene_getpeername},
        {"listen", scene_listen},
        {"pass", scene_pass},
        {"fork", scene_fork},
        {0},
    };
    if (argc != 3)
        return 2;
    if (!strcmp(argv[1], "end"))
        return end(argv[2]);
    onion_name = argv[2];
    return play(scenes, 2, argv);
}
