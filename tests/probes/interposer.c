/* A library that stands before libc's functions, too, and counts what reaches it. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/socket.h>

static int connects, shutdowns, closes;

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    connects++;
    int (*next)(int, const struct sockaddr *, socklen_t);
    *(void **)&next = dlsym(RTLD_NEXT, "connect");
    return next(fd, address, length);
}

int shutdown(int fd, int how)
{
    shutdowns++;
    int (*next)(int, int);
    *(void **)&next = dlsym(RTLD_NEXT, "shutdown");
    return next(fd, how);
}

int close(int fd)
{
    closes++;
    int (*next)(int);
    *(void **)&next = dlsym(RTLD_NEXT, "close");
    return next(fd);
}

__attribute__((destructor)) static void tell(void)
{
    fprintf(stderr, "connects %d shutdowns %d closes %d\n", connects, shutdowns, closes);
}
