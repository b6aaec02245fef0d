/* A library, or a part of a program, that stands before libc's functions, too, and counts what reaches it. It
   has them by a handle of libc if BY_HANDLE is defined, by their version if BY_VERSION is, and then by the
   version that everybody gets if BY_DEFAULT is. */
#define _GNU_SOURCE 1
#include <dlfcn.h>

#include "scene.h"

#ifdef BY_HANDLE
#define NEXT dlopen("libc.so.6", RTLD_LAZY)
#elif defined(BY_DEFAULT)
#define NEXT RTLD_DEFAULT
#else
#define NEXT RTLD_NEXT
#endif
#ifdef BY_VERSION
#define FIND(name) dlvsym(NEXT, name, OLDEST)
#else
#define FIND(name) dlsym(NEXT, name)
#endif

static int connects, shutdowns, closes;

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    connects++;
    int (*next)(int, const struct sockaddr *, socklen_t);
    *(void **)&next = FIND("connect");
    return next(fd, address, length);
}

/* Connects by what it takes for libc's function. */
int interposer_reach(int fd, const struct sockaddr *address, socklen_t length);

int interposer_reach(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*next)(int, const struct sockaddr *, socklen_t);
    *(void **)&next = FIND("connect");
    return next(fd, address, length);
}

int shutdown(int fd, int how)
{
    shutdowns++;
    int (*next)(int, int);
    *(void **)&next = FIND("shutdown");
    return next(fd, how);
}

int close(int fd)
{
    closes++;
    int (*next)(int);
    *(void **)&next = FIND("close");
    return next(fd);
}

__attribute__((destructor)) static void tell(void)
{
    fprintf(stderr, "connects %d shutdowns %d closes %d\n", connects, shutdowns, closes);
}
