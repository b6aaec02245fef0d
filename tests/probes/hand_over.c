/* Connected sockets that reach another program under the library, by a message or over exec. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <wordexp.h>

#include "scene.h"

extern char **environ;

/* Numbers at which a program that is executed finds the UNIX socket, and what it inherits. */
enum { LINE = 100, FIRST = 200 };

#define ONION "hand-over.onion"

static char self[4096];

static struct sockaddr_storage seen_peer(int fd)
{
    struct sockaddr_storage seen = {0};
    socklen_t length = sizeof seen;
    EXPECT(getpeername(fd, (struct sockaddr *)&seen, &length) == 0);
    EXPECT(length == (seen.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
    return seen;
}

static int peer6_is(int fd, const struct in6_addr *expected, int port)
{
    struct sockaddr_storage seen = seen_peer(fd);
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&seen;
    return six->sin6_family == AF_INET6 && six->sin6_port == htons(port)
        && memcmp(&six->sin6_addr, expected, sizeof *expected) == 0;
}

static int peer6_is_text(int fd, const char *text, int port)
{
    struct sockaddr_in6 expected = v6(text, port);
    return peer6_is(fd, &expected.sin6_addr, port);
}

/* The cookie address that this process has for the onion name. */
static struct sockaddr_storage onion(int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *found;
    struct sockaddr_storage address = {0};
    EXPECT(getaddrinfo(ONION, "80", &hints, &found) == 0);
    memcpy(&address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return address;
}

static int connected_to(const void *address, socklen_t length)
{
    int fd = socket(((const struct sockaddr *)address)->sa_family, SOCK_STREAM, 0);
    EXPECT(fd >= 0 && connect(fd, address, length) == 0);
    return fd;
}

static int connected6(const char *text, int port)
{
    struct sockaddr_in6 address = v6(text, port);
    return connected_to(&address, sizeof address);
}

enum { KINDS = 5 };

static int make(int kind)
{
    struct sockaddr_storage cookie;
    switch (kind) {
    case 0:
        return connected("192.0.2.1", 80);
    case 1:
        return connected6("2001:db8::1", 81);
    case 2:
        return connected6("::ffff:192.0.2.2", 82);
    case 3:
        cookie = onion(AF_INET);
        return connected_to(&cookie, sizeof(struct sockaddr_in));
    default:
        cookie = onion(AF_INET6);
        return connected_to(&cookie, sizeof(struct sockaddr_in6));
    }
}

static int leads_as_made(int fd, int kind)
{
    struct sockaddr_storage cookie, seen;
    switch (kind) {
    case 0:
        return peer_is(fd, "192.0.2.1", 80);
    case 1:
        return peer6_is_text(fd, "2001:db8::1", 81);
    case 2:
        return peer6_is_text(fd, "::ffff:192.0.2.2", 82);
    default:
        /* The address that this process has for the name, whatever the other one's was. */
        seen = seen_peer(fd);
        cookie = onion(kind == 3 ? AF_INET : AF_INET6);
        return memcmp(&seen, &cookie, sizeof(struct sockaddr_in)) == 0;
    }
}

/* That a socket which came from elsewhere is one of that kind in every way. */
static void expect_kind(int fd, int kind)
{
    struct sockaddr_storage seen;
    socklen_t little = 4;
    errno = EXDEV;
    EXPECT(getpeername(fd, (struct sockaddr *)&seen, &little) == 0 && errno == EXDEV);
    EXPECT(little == (seen.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
    EXPECT(leads_as_made(fd, kind));
    int copy = dup(fd);
    EXPECT(leads_as_made(copy, kind));
    seen = seen_peer(fd);
    FAILS(connect(fd, (struct sockaddr *)&seen, sizeof seen), EISCONN);
    EXPECT(echoes(fd) && close(copy) == 0);
}

/* A message of one byte with a descriptor. */
struct envelope {
    char text;
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec data;
    struct msghdr header;
};

static struct msghdr *fill(struct envelope *envelope, int fd)
{
    memset(envelope, 0, sizeof *envelope);
    envelope->data = (struct iovec){&envelope->text, 1};
    envelope->header = (struct msghdr){.msg_iov = &envelope->data, .msg_iovlen = 1,
        .msg_control = envelope->control, .msg_controllen = sizeof envelope->control};
    if (fd >= 0) {
        struct cmsghdr *header = CMSG_FIRSTHDR(&envelope->header);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    return &envelope->header;
}

/* In every form that can send. */
static void pass(int line, int fd, int form)
{
    struct envelope envelope;
    struct mmsghdr many = {.msg_hdr = *fill(&envelope, fd)};
    errno = EXDEV;
    switch (form % 4) {
    case 0:
        EXPECT(sendmsg(line, &envelope.header, 0) == 1);
        break;
    case 1:
        EXPECT(sendmmsg(line, &many, 1, 0) == 1);
        break;
    case 2:
        EXPECT(syscall(SYS_sendmsg, line, &envelope.header, 0) == 1);
        break;
    default:
        EXPECT(syscall(SYS_sendmmsg, line, &many, 1, 0) == 1);
    }
    EXPECT(errno == EXDEV);
}

/* The descriptor of the next message, or -1. */
static int take(int line)
{
    struct envelope envelope;
    int fd;
    if (recvmsg(line, fill(&envelope, -1), 0) < 0)
        return -1;
    EXPECT(CMSG_FIRSTHDR(&envelope.header));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&envelope.header)), sizeof fd);
    return fd;
}

/* Executes `scene` of this program with a pool of its own, and with `line` if there is one. */
static pid_t executed(const char *scene, int line, const char *range)
{
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child > 0)
        return child;
    if (line >= 0)
        EXPECT(dup2(line, LINE) == LINE);
    if (range)
        setenv("EPOCHSOCKS_ONION_ADDR_RANGE", range, 1);
    execl(self, self, scene, (char *)NULL);
    _exit(99);
}

static void ends_well(pid_t child)
{
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

/* Under the default, between programs that share nothing but what is passed. */
static void scene_pass(void)
{
    int ends[2];
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    pid_t child = executed("receiver", ends[1], "127.43.0.0/16");
    for (int i = 0; i < 4 * KINDS; i++) {
        int fd = make(i / 4);
        pass(ends[0], fd, i);
        EXPECT(leads_as_made(fd, i / 4) && close(fd) == 0);
    }
    ends_well(child);
}

/* Whatever its sender does with the socket later. Before Linux 5.7 only root may ask for that. */
static int stays_on_the_machine(int fd)
{
    char device[16] = "";
    socklen_t length = sizeof device;
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &length) == 0);
    return strcmp(device, "lo") == 0;
}

static void scene_receiver(void)
{
    for (int i = 0; i < 4 * KINDS; i++) {
        int fd = take(LINE);
        EXPECT(fd >= 0 && stays_on_the_machine(fd));
        expect_kind(fd, i / 4);
        EXPECT(close(fd) == 0);
    }
}

/* A socket leads to what it led to when it was passed. */
static void scene_again(void)
{
    int ends[2];
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    pid_t child = executed("receiver-again", ends[1], NULL);
    int fd = connected("192.0.2.1", 80);
    pass(ends[0], fd, 0);
    char ready;
    EXPECT(read(ends[0], &ready, 1) == 1);
    EXPECT(connect(fd, &nowhere, sizeof nowhere) == 0);
    pass(ends[0], fd, 0);
    EXPECT(read(ends[0], &ready, 1) == 1);
    EXPECT(reach(fd, "192.0.2.7", 87) == 0);
    pass(ends[0], fd, 0);
    pass(ends[0], fd, 0);
    ends_well(child);
}

static void scene_receiver_again(void)
{
    int fd = take(LINE);
    EXPECT(fd >= 0 && peer_is(fd, "192.0.2.1", 80) && close(fd) == 0 && write(LINE, "", 1) == 1);
    FAILS(take(LINE), EACCES);
    EXPECT(write(LINE, "", 1) == 1);
    for (int i = 0; i < 2; i++) {
        fd = take(LINE);
        EXPECT(fd >= 0 && peer_is(fd, "192.0.2.7", 87) && echoes(fd) && close(fd) == 0);
    }
}

enum { ROUNDS = 100, THREADS = 4 };

static int line, shared;
static pthread_barrier_t together;

static void *passes(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&together);
        pass(line, shared, 0);
        pthread_barrier_wait(&together);
    }
    return NULL;
}

/* Several threads pass a connection that nobody has passed before: each message is as good. */
static void scene_at_once(void)
{
    int ends[2];
    pthread_t threads[THREADS];
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    EXPECT(pthread_barrier_init(&together, NULL, THREADS + 1) == 0);
    pid_t child = executed("receiver-at-once", ends[1], NULL);
    line = ends[0];
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, passes, NULL) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        shared = connected6("2001:db8::1", 81);
        pthread_barrier_wait(&together);
        pthread_barrier_wait(&together);
        EXPECT(close(shared) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    ends_well(child);
}

static void scene_receiver_at_once(void)
{
    for (int i = 0; i < ROUNDS * THREADS; i++) {
        int fd = take(LINE);
        EXPECT(fd >= 0 && peer6_is_text(fd, "2001:db8::1", 81) && close(fd) == 0);
    }
}

/* A handshake in flight is waited for, also where there was a connection before; behind a slow proxy. */
static void scene_in_flight(void)
{
    int ends[2];
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    pid_t child = executed("receiver-in-flight", ends[1], NULL);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    FAILS(reach(fd, "192.0.2.1", 80), EINPROGRESS);
    pass(ends[0], fd, 0);
    int both[2], other = connected("192.0.2.1", 80);
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) == 0);
    pass(both[0], other, 0);
    EXPECT(connect(other, &nowhere, sizeof nowhere) == 0 && fcntl(other, F_SETFL, O_NONBLOCK) == 0);
    FAILS(reach(other, "192.0.2.7", 87), EINPROGRESS);
    pass(ends[0], other, 0);
    ends_well(child);
}

static void scene_receiver_in_flight(void)
{
    int first = take(LINE), second = take(LINE);
    EXPECT(first >= 0 && peer_is(first, "192.0.2.1", 80) && fcntl(first, F_SETFL, 0) == 0 && echoes(first));
    EXPECT(second >= 0 && peer_is(second, "192.0.2.7", 87) && fcntl(second, F_SETFL, 0) == 0 && echoes(second));
}

/* Takes nothing. */
static void scene_refuser(void)
{
    struct envelope envelope;
    ssize_t received;
    while ((received = recvmsg(LINE, fill(&envelope, -1), 0)) != 0)
        EXPECT(received < 0 && errno == EACCES);
}

static struct sockaddr_in tor_port(void)
{
    return v4("127.0.0.1", atoi(getenv("EPOCHSOCKS_TOR_PORT")));
}

/* A connection that no hook has seen. */
static int beside(struct sockaddr_in address)
{
    int fd = (int)raw(SYS_socket, AF_INET, SOCK_STREAM, 0, 0);
    EXPECT(fd >= 0 && raw(SYS_connect, fd, (long)&address, sizeof address, 0) == 0);
    return fd;
}

/* Of what nobody has told, and of a socket that has been connected once more, nothing is known. */
static void scene_untold(void)
{
    int ends[2];
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    pid_t child = executed("refuser", ends[1], NULL);
    int fd = connected("192.0.2.1", 80);
    struct envelope envelope;
    int both[2];
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) == 0);
    pass(both[0], fd, 0);

    struct sockaddr_in address = v4("127.0.0.1", 0), tor = tor_port();
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 4) == 0);
    EXPECT(getsockname(listener, (struct sockaddr *)&address, &length) == 0);

    pass(ends[0], beside(tor), 0);
    pass(ends[0], beside(address), 0);
    pass(ends[0], socket(AF_INET, SOCK_STREAM, 0), 0);
    /* Past every hook the same socket gets another connection to the same port. */
    EXPECT(raw(SYS_connect, fd, (long)&nowhere, sizeof nowhere, 0) == 0);
    EXPECT(raw(SYS_connect, fd, (long)&tor, sizeof tor, 0) == 0);
    EXPECT(raw(SYS_sendmsg, ends[0], (long)fill(&envelope, fd), 0, 0) == 1);

    /* No such descriptor, and no such memory. */
    FAILS(sendmsg(both[0], fill(&envelope, 999), 0), EBADF);
    fill(&envelope, both[1]);
    envelope.header.msg_control = (void *)(getpagesize() * 16L);
    FAILS(sendmsg(both[0], &envelope.header, 0), EFAULT);
    EXPECT(close(ends[0]) == 0 && close(ends[1]) == 0);
    ends_well(child);
}

static void lacks(const char *path, const char *word)
{
    char line[8192];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL)
        EXPECT(strstr(line, word) == NULL);
    fclose(file);
}

/* Files that every user reads, or of which the rights have changed over time. */
static void nothing_shows(int fd)
{
    static const char *const files[] = {"/proc/locks", "/proc/net/unix", "/proc/net/tcp",
        "/proc/net/tcp6", "/proc/self/cmdline", "/proc/self/maps", "/proc/sysvipc/shm", "/proc/keys"};
    struct stat status;
    char inode[32], info[64];
    EXPECT(fstat(fd, &status) == 0);
    snprintf(inode, sizeof inode, ":%lu ", (unsigned long)status.st_ino);
    lacks("/proc/locks", inode);
    snprintf(info, sizeof info, "/proc/self/fdinfo/%d", fd);
    lacks(info, "lock:");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        lacks(files[i], ONION);
        lacks(files[i], "192.0.2.1");
        /* As /proc/net/tcp writes it. */
        lacks(files[i], "010200C0");
    }
}

/* However a socket reaches another program. */
static void scene_private(void)
{
    struct sockaddr_storage cookie = onion(AF_INET);
    int ends[2], sockets[] = {connected("192.0.2.1", 80), connected_to(&cookie, sizeof(struct sockaddr_in))};
    char *arguments[] = {"true", NULL};
    pid_t child;
    wordexp_t words;
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
        EXPECT(system("true") == 0);
        nothing_shows(sockets[i]);
        EXPECT(pclose(popen("true", "r")) == 0);
        nothing_shows(sockets[i]);
        EXPECT(wordexp("$(true)", &words, 0) == 0);
        wordfree(&words);
        nothing_shows(sockets[i]);
        EXPECT(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0);
        ends_well(child);
        nothing_shows(sockets[i]);
        child = fork();
        if (child == 0) {
            execvp("true", arguments);
            _exit(99);
        }
        ends_well(child);
        nothing_shows(sockets[i]);
        for (int form = 0; form < 4; form++) {
            pass(ends[0], sockets[i], form);
            nothing_shows(sockets[i]);
        }
    }
}

/* Sockets at known numbers, one of each kind, which an exec leaves open or closes. */
static void lay_out(int flags)
{
    for (int kind = 0; kind < KINDS; kind++) {
        int fd = make(kind);
        EXPECT(dup3(fd, FIRST + kind, flags) == FIRST + kind && close(fd) == 0);
    }
}

static void scene_inheritor(void)
{
    for (int kind = 0; kind < KINDS; kind++)
        expect_kind(FIRST + kind, kind);
}

/* Only a connect, which comes before anything else that a hook sees. */
static void scene_inheritor_connects(void)
{
    struct sockaddr_in there = v4("192.0.2.9", 80);
    FAILS(connect(FIRST, (struct sockaddr *)&there, sizeof there), EISCONN);
    expect_kind(FIRST, 0);
}

/* In every form fresh sockets, of which nobody has told before. */
static void scene_exec(void)
{
    lay_out(0);
    ends_well(executed("inheritor", -1, "127.43.0.0/16"));
    lay_out(0);
    ends_well(executed("inheritor-connects", -1, NULL));
    char *arguments[] = {self, "inheritor", NULL}, command[5000], text[64] = "";
    pid_t child;
    lay_out(0);
    EXPECT(posix_spawn(&child, self, NULL, NULL, arguments, environ) == 0);
    ends_well(child);
    lay_out(0);
    child = vfork();
    if (child == 0) {
        execve(self, arguments, environ);
        _exit(99);
    }
    ends_well(child);
    lay_out(0);
    child = fork();
    if (child == 0) {
        syscall(SYS_execve, self, arguments, environ);
        _exit(99);
    }
    ends_well(child);
    /* The shell in between knows nothing of the sockets. */
    snprintf(command, sizeof command, "%s inheritor", self);
    lay_out(0);
    EXPECT(system(command) == 0);
    lay_out(0);
    FILE *pipe = popen(command, "r");
    EXPECT(pipe && fgets(text, sizeof text, pipe) && strcmp(text, "done\n") == 0 && pclose(pipe) == 0);
}

/* A spawned program gets even what an exec would close. */
static void scene_spawn(void)
{
    lay_out(O_CLOEXEC);
    posix_spawn_file_actions_t actions;
    char *arguments[] = {self, "inheritor", NULL};
    pid_t child;
    EXPECT(posix_spawn_file_actions_init(&actions) == 0);
    for (int kind = 0; kind < KINDS; kind++)
        EXPECT(posix_spawn_file_actions_adddup2(&actions, FIRST + kind, FIRST + kind) == 0);
    EXPECT(posix_spawnp(&child, self, &actions, NULL, arguments, environ) == 0);
    ends_well(child);
    EXPECT(posix_spawn_file_actions_destroy(&actions) == 0);
}

static const struct scene scenes[] = {
    {"pass", scene_pass},
    {"receiver", scene_receiver},
    {"again", scene_again},
    {"receiver-again", scene_receiver_again},
    {"at-once", scene_at_once},
    {"receiver-at-once", scene_receiver_at_once},
    {"receiver-in-flight", scene_receiver_in_flight},
    {"in-flight", scene_in_flight},
    {"refuser", scene_refuser},
    {"untold", scene_untold},
    {"private", scene_private},
    {"exec", scene_exec},
    {"spawn", scene_spawn},
    {"inheritor", scene_inheritor},
    {"inheritor-connects", scene_inheritor_connects},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    EXPECT(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    return play(scenes, count, arguments);
}
