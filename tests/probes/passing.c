/* Descriptors that come from elsewhere, one scene for each argument. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "scene.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

extern int pidfd_getfd(int, int, unsigned);

enum { MOST = 64 };

static int ends[2];
static ino_t identity[2 * MOST];

static void start(int kind)
{
    EXPECT(socketpair(AF_UNIX, kind, 0, ends) == 0);
}

/* A descriptor that can do no harm, told from others by its inode. */
static int harmless(void)
{
    int both[2];
    EXPECT(pipe(both) == 0 && close(both[1]) == 0);
    return both[0];
}

static ino_t inode(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

static int harmful(void)
{
    int fd = (int)raw(SYS_socket, AF_INET, SOCK_STREAM, 0, 0);
    EXPECT(fd >= 0);
    return fd;
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += raw(SYS_fcntl, fd, F_GETFD, 0, 0) >= 0;
    return count;
}

/* Sends one byte, `text`, with descriptors; they are closed here. */
static void pass(char text, const int *descriptors, int count)
{
    char control[CMSG_SPACE(sizeof(int) * MOST)] = {0};
    struct iovec data = {&text, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
        .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
    EXPECT(sendmsg(ends[0], &message, 0) == 1);
    for (int i = 0; i < count; i++)
        raw(SYS_close, descriptors[i], 0, 0, 0);
}

static char text;
static char control[2048];
static struct iovec place = {&text, 1};

static struct msghdr empty(size_t room)
{
    memset(control, 0, sizeof control);
    text = 0;
    return (struct msghdr){
        .msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
}

/* The descriptors of a message that was received. */
static int descriptors_of(struct msghdr *message, int *descriptors)
{
    int count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        int here = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(descriptors + count, CMSG_DATA(header), sizeof(int) * here);
        count += here;
    }
    return count;
}

static void close_all(const int *descriptors, int count)
{
    for (int i = 0; i < count; i++)
        EXPECT(close(descriptors[i]) == 0);
}

/* Under the default. */
static void refused_by(ssize_t (*form)(int, struct msghdr *, int))
{
    start(SOCK_SEQPACKET);
    int got[MOST], before = open_descriptors();
    int mixed[] = {harmless(), harmful(), harmless()};
    ino_t first = inode(mixed[0]), last = inode(mixed[2]);
    pass('a', mixed, 3);
    struct msghdr message = empty(sizeof control);
    FAILS(form(ends[1], &message, 0), EACCES);
    /* The harmless descriptors have come, as has the message's text. */
    EXPECT(text == 'a' && descriptors_of(&message, got) == 2);
    EXPECT(inode(got[0]) == first && inode(got[1]) == last);
    close_all(got, 2);
    EXPECT(open_descriptors() == before);

    int fine[] = {harmless(), harmless()};
    pass('b', fine, 2);
    message = empty(sizeof control);
    errno = EXDEV;
    EXPECT(form(ends[1], &message, MSG_CMSG_CLOEXEC) == 1 && text == 'b' && errno == EXDEV);
    EXPECT(descriptors_of(&message, got) == 2 && !(message.msg_flags & MSG_CTRUNC));
    EXPECT(fcntl(got[0], F_GETFD) == FD_CLOEXEC);
    close_all(got, 2);

    /* UNIX sockets can't leave the machine. */
    int local[] = {(int)raw(SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0)};
    pass('c', local, 1);
    message = empty(sizeof control);
    EXPECT(form(ends[1], &message, 0) == 1 && descriptors_of(&message, got) == 1);
    close_all(got, 1);

    /* Looking does not take, and every look is judged. */
    int seen[] = {harmful()};
    pass('d', seen, 1);
    message = empty(sizeof control);
    FAILS(form(ends[1], &message, MSG_PEEK), EACCES);
    message = empty(sizeof control);
    FAILS(form(ends[1], &message, 0), EACCES);
    EXPECT(text == 'd' && open_descriptors() == before);

    /* Not even the program's own comes back, unless it leads through Tor. */
    int own[] = {socket(AF_INET, SOCK_STREAM, 0)};
    pass('e', own, 1);
    message = empty(sizeof control);
    FAILS(form(ends[1], &message, 0), EACCES);
    int proved[] = {connected("192.0.2.1", 80)}, kept = dup(proved[0]);
    pass('f', proved, 1);
    message = empty(sizeof control);
    EXPECT(form(ends[1], &message, 0) == 1 && descriptors_of(&message, got) == 1);
    EXPECT(peer_is(got[0], "192.0.2.1", 80) && echoes(got[0]) && close(kept) == 0);
    close_all(got, 1);
    EXPECT(open_descriptors() == before);

    FAILS(form(ends[1], NULL, MSG_DONTWAIT), EFAULT);
    FAILS(form(999, &message, 0), EBADF);
    message = empty(0);
    FAILS(form(ends[1], &message, MSG_DONTWAIT), EAGAIN);
    raw(SYS_close, ends[0], 0, 0, 0);
    raw(SYS_close, ends[1], 0, 0, 0);
}

static ssize_t by_syscall(int fd, struct msghdr *message, int flags)
{
    return syscall(SYS_recvmsg, fd, message, flags);
}

static void scene_refuse(void)
{
    refused_by(recvmsg);
    refused_by(by_syscall);
}

/* Under `drop`: every size, every position, with credentials beside them and cut short. */
static void scene_drop(void)
{
    start(SOCK_SEQPACKET);
    int on = 1, got[MOST], before = open_descriptors();
    EXPECT(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    for (int count = 1; count <= MOST; count += count < 8 ? 1 : 7) {
        for (int harm = 0; harm < 3; harm++) {
            int descriptors[MOST], expected = 0;
            for (int i = 0; i < count; i++) {
                int bad = harm == 0 ? i == 0 : harm == 1 ? i % 2 == 1 : i == count - 1;
                descriptors[i] = bad ? harmful() : harmless();
                if (!bad)
                    identity[expected++] = inode(descriptors[i]);
            }
            int lost = expected != count;
            pass('x', descriptors, count);
            struct msghdr message = empty(sizeof control);
            EXPECT(recvmsg(ends[1], &message, 0) == 1 && text == 'x');
            EXPECT(descriptors_of(&message, got) == expected);
            EXPECT(!!(message.msg_flags & MSG_CTRUNC) == lost);
            for (int i = 0; i < expected; i++)
                EXPECT(inode(got[i]) == identity[i]);
            close_all(got, expected);
            int credentials = 0;
            for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each))
                credentials += each->cmsg_type == SCM_CREDENTIALS;
            EXPECT(credentials == 1);
            EXPECT(open_descriptors() == before);
        }
    }
    /* No room for all: the kernel has cut, and what has come is judged. */
    int mixed[] = {harmless(), harmful(), harmless(), harmless()};
    pass('y', mixed, 4);
    struct msghdr message = empty(CMSG_SPACE(sizeof(struct ucred)) + CMSG_LEN(2 * sizeof(int)));
    EXPECT(recvmsg(ends[1], &message, 0) == 1 && message.msg_flags & MSG_CTRUNC);
    EXPECT(descriptors_of(&message, got) == 1);
    close_all(got, 1);
    EXPECT(open_descriptors() == before);
}

static void many_by(int (*form)(int, struct mmsghdr *, unsigned, int, struct timespec *))
{
    start(SOCK_DGRAM);
    int got[MOST], before = open_descriptors();
    char texts[4], controls[4][256];
    struct iovec places[4];
    struct mmsghdr many[4];
    for (int i = 0; i < 4; i++) {
        places[i] = (struct iovec){&texts[i], 1};
        many[i].msg_hdr = (struct msghdr){.msg_iov = &places[i], .msg_iovlen = 1,
            .msg_control = controls[i], .msg_controllen = sizeof controls[i]};
        int both[] = {harmless(), i % 2 ? harmful() : harmless()};
        pass((char)('0' + i), both, 2);
    }
    EXPECT(form(ends[1], many, 4, 0, NULL) == 4);
    for (int i = 0; i < 4; i++) {
        EXPECT(texts[i] == '0' + i && many[i].msg_len == 1);
        int count = descriptors_of(&many[i].msg_hdr, got);
        EXPECT(count == (i % 2 ? 1 : 2));
        EXPECT(!!(many[i].msg_hdr.msg_flags & MSG_CTRUNC) == i % 2);
        close_all(got, count);
    }
    EXPECT(open_descriptors() == before);
    FAILS(form(ends[1], many, 4, MSG_DONTWAIT, NULL), EAGAIN);
}

static int many_by_syscall(int fd, struct mmsghdr *many, unsigned count, int flags, struct timespec *limit)
{
    return (int)syscall(SYS_recvmmsg, fd, many, count, flags, limit);
}

static void scene_many(void)
{
    many_by(recvmmsg);
    many_by(many_by_syscall);
}

static int receive_one(void)
{
    int got[MOST];
    struct msghdr message = empty(sizeof control);
    if (recvmsg(ends[1], &message, 0) < 0)
        return -1;
    EXPECT(descriptors_of(&message, got) == 1);
    return got[0];
}

/* Under `torified`. */
static void scene_torified(void)
{
    start(SOCK_SEQPACKET);
    /* Within the process a socket keeps its destination. */
    int fd = connected("192.0.2.1", 80), copy = (int)raw(SYS_fcntl, fd, F_DUPFD, 0, 0);
    pass('a', &copy, 1);
    int passed = receive_one();
    EXPECT(passed >= 0 && peer_is(passed, "192.0.2.1", 80) && echoes(passed));
    EXPECT(close(fd) == 0 && peer_is(passed, "192.0.2.1", 80));
    FAILS(reach(passed, "192.0.2.1", 80), EISCONN);

    /* One that is not connected, and that nobody can vouch for. */
    int strange = harmful();
    pass('b', &strange, 1);
    FAILS(receive_one(), EACCES);

    /* From another process under the library: connected to Tor's port. */
    pid_t child = fork();
    if (child == 0) {
        int theirs = connected("192.0.2.2", 80);
        pass('c', &theirs, 1);
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    int foreign = receive_one();
    EXPECT(foreign >= 0 && peer_is(foreign, "192.0.2.2", 80) && echoes(foreign));
    FAILS(reach(foreign, "192.0.2.3", 80), EISCONN);

    /* One that only the kernel vouches for. */
    struct sockaddr_in tor = v4("127.0.0.1", atoi(getenv("EPOCHSOCKS_TOR_PORT")));
    int bare = harmful();
    EXPECT(raw(SYS_connect, bare, (long)&tor, sizeof tor, 0) == 0);
    pass('e', &bare, 1);
    int unproved = receive_one();
    EXPECT(unproved >= 0);
    FAILS(reach(unproved, "192.0.2.3", 80), EISCONN);

    /* Connected to another port of the machine. */
    struct sockaddr_in address = v4("127.0.0.1", 0);
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 4) == 0);
    EXPECT(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    int direct = harmful();
    EXPECT(raw(SYS_connect, direct, (long)&address, sizeof address, 0) == 0);
    pass('d', &direct, 1);
    FAILS(receive_one(), EACCES);
}

static void scene_allow(void)
{
    start(SOCK_SEQPACKET);
    int strange = harmful();
    pass('a', &strange, 1);
    int got = receive_one();
    /* It is tracked at the first sight of a connect, and goes through Tor. */
    EXPECT(got >= 0 && reach(got, "192.0.2.1", 80) == 0 && peer_is(got, "192.0.2.1", 80));
}

/* The number of a descriptor that was closed behind the library's back is used again. */
static void scene_stale(void)
{
    start(SOCK_SEQPACKET);
    int fd = connected("192.0.2.1", 80), other = (int)raw(SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0);
    pass('a', &other, 1);
    EXPECT(raw(SYS_close, fd, 0, 0, 0) == 0);
    int got = receive_one();
    struct sockaddr_storage seen;
    socklen_t length = sizeof seen;
    EXPECT(got == fd);
    FAILS(getpeername(got, (struct sockaddr *)&seen, &length), ENOTCONN);
}

static void scene_taken(void)
{
    int fd = harmful(), fine = harmless(), before = open_descriptors();
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (self < 0 || raw(SYS_pidfd_getfd, self, fine, 0, 0) < 0) {
        puts("SKIPPED: no pidfd_getfd\ndone");
        exit(0);
    }
    FAILS(pidfd_getfd(self, fd, 0), EACCES);
    FAILS(syscall(SYS_pidfd_getfd, self, fd, 0), EACCES);
    FAILS(pidfd_getfd(self, 999, 0), EBADF);
    int got = pidfd_getfd(self, fine, 0);
    EXPECT(got >= 0 && inode(got) == inode(fine) && close(got) == 0);
    EXPECT(open_descriptors() == before + 2);
}

static const struct scene scenes[] = {
    {"refuse", scene_refuse},
    {"drop", scene_drop},
    {"many", scene_many},
    {"torified", scene_torified},
    {"allow", scene_allow},
    {"stale", scene_stale},
    {"taken", scene_taken},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
