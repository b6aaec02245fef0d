/* Code that the scenes of a probe share. A scene does what a program may do and ends it at the first thing
   that it does not expect; the proxy behind it accepts every connection and echoes. */
#ifndef SCENE_H
#define SCENE_H
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define EXPECT(condition)                                                                 \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            printf("line %d: not so: %s (errno %d)\n", __LINE__, #condition, errno);      \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)
#define FAILS(call, error) EXPECT((errno = 0, (call)) == -1 && errno == (error))

/* One SIGALRM. A handler asks for the next one at its end: with an interval a slow machine would do nothing
   else. 0 takes it back. */
static inline void alarm_in(int microseconds)
{
    struct itimerval once = {.it_value = {.tv_usec = microseconds}};
    EXPECT(setitimer(ITIMER_REAL, &once, NULL) == 0);
}

/* The version that libc has given its functions here first. */
#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#else
#define OLDEST "GLIBC_2.17"
#endif

static inline struct sockaddr_in v4(const char *text, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    EXPECT(inet_pton(AF_INET, text, &address.sin_addr) == 1);
    return address;
}

static inline struct sockaddr_in6 v6(const char *text, int port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    EXPECT(inet_pton(AF_INET6, text, &address.sin6_addr) == 1);
    return address;
}

static inline int reach(int fd, const char *text, int port)
{
    struct sockaddr_in address = v4(text, port);
    return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static inline int connected(const char *text, int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(fd >= 0);
    EXPECT(reach(fd, text, port) == 0);
    return fd;
}

/* True if the peer of fd is that address, as the program sees it. */
static inline int peer_is(int fd, const char *text, int port)
{
    struct sockaddr_in expected = v4(text, port), seen;
    socklen_t length = sizeof seen;
    if (getpeername(fd, (struct sockaddr *)&seen, &length) != 0 || length != sizeof seen)
        return 0;
    return seen.sin_family == AF_INET && seen.sin_port == expected.sin_port
        && seen.sin_addr.s_addr == expected.sin_addr.s_addr;
}

static inline int echoes(int fd)
{
    char answer[6];
    return send(fd, "hello", 6, 0) == 6 && recv(fd, answer, 6, MSG_WAITALL) == 6
        && strcmp(answer, "hello") == 0;
}

/* A system call that no hook sees. */
static inline long raw(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__)
    long result;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long first __asm__("x0") = a, second __asm__("x1") = b, third __asm__("x2") = c;
    register long fourth __asm__("x3") = d, which __asm__("x8") = number;
    __asm__ volatile("svc 0"
                     : "+r"(first)
                     : "r"(second), "r"(third), "r"(fourth), "r"(which)
                     : "memory");
    return first;
#endif
}

/* True if fd, which is closed, has left no entry: the peer of a UNIX socket there is UNIX. */
static inline int is_forgotten(int fd)
{
    int pair[2];
    struct sockaddr_storage seen;
    socklen_t length = sizeof seen;
    EXPECT(raw(SYS_fcntl, fd, 1 /* F_GETFD */, 0, 0) == -EBADF);
    EXPECT(raw(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (long)pair) == 0);
    if (pair[0] != fd && pair[1] != fd)
        EXPECT(raw(SYS_dup3, pair[0], fd, 0, 0) == fd);
    int result = getpeername(fd, (struct sockaddr *)&seen, &length) == 0 && seen.ss_family == AF_UNIX;
    raw(SYS_close, pair[0], 0, 0, 0);
    raw(SYS_close, pair[1], 0, 0, 0);
    raw(SYS_close, fd, 0, 0, 0);
    return result;
}

/* Pages that can't be read, or can't be written. */
static inline void *page_of(int protection)
{
    void *page = mmap(NULL, 65536, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(page != MAP_FAILED);
    return page;
}

struct scene {
    const char *name;
    void (*play)(void);
};

static inline int play(const struct scene *scenes, int count, char **arguments)
{
    for (; count == 2 && scenes->name; scenes++) {
        if (strcmp(arguments[1], scenes->name) == 0) {
            scenes->play();
            puts("done");
            return 0;
        }
    }
    fprintf(stderr, "%s: no such scene\n", arguments[0]);
    return 2;
}

/* Until the thread that writes its id there, whose state the file of this name tells, waits in the kernel; one look
   may meet a short wait. */
static inline void wait_until_asleep_in(const char *name, const int *thread)
{
    char path[64], line[256];
    int id;
    while ((id = __atomic_load_n(thread, __ATOMIC_ACQUIRE)) == 0)
        sched_yield();
    snprintf(path, sizeof path, name, id);
    for (int seen = 0; seen < 20;) {
        FILE *file = fopen(path, "r");
        EXPECT(file && fgets(line, sizeof line, file));
        fclose(file);
        seen = strstr(line, ") S ") ? seen + 1 : 0;
        sched_yield();
    }
}

static inline void wait_until_asleep(const int *thread)
{
    wait_until_asleep_in("/proc/self/task/%d/stat", thread);
}
#endif
