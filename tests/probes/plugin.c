/* A library that a program loads. With CONSTRUCTOR set it uses sockets before main and after it; with
   CONSTRUCTOR_WAITS it takes its time. */
#define _GNU_SOURCE 1
#include <dlfcn.h>

#include "scene.h"

#ifdef OF_GO
/* The mark of Go's libraries, in a library that makes no system calls past libc. */
__asm__(".section .note.go.buildid, \"a\", %note\n .long 4, 4, 4\n .asciz \"Go\\0\"\n .long 0\n .previous");
#endif

int plugin_reach(void);
void *plugin_next(const char *name, const char *version);

/* As a library asks for what it stands before, and for what may not be there. */
void *plugin_next(const char *name, const char *version)
{
    return version ? dlvsym(RTLD_NEXT, name, version) : dlsym(RTLD_NEXT, name);
}

int plugin_reach(void)
{
    int fd = connected("192.0.2.5", 80);
    EXPECT(echoes(fd) && peer_is(fd, "192.0.2.5", 80));
    return fd;
}

static int early = -1;

/* Tells that the library is being loaded and waits until it may go on. */
static void wait_while_loading(const char *descriptors)
{
    int loading, go;
    char byte = 0;
    EXPECT(sscanf(descriptors, "%d %d", &loading, &go) == 2);
    EXPECT(syscall(SYS_write, loading, &byte, 1) == 1 && syscall(SYS_read, go, &byte, 1) == 1);
}

__attribute__((constructor)) static void before_main(void)
{
    if (getenv("CONSTRUCTOR_WAITS"))
        wait_while_loading(getenv("CONSTRUCTOR_WAITS"));
    if (getenv("CONSTRUCTOR"))
        early = plugin_reach();
}

__attribute__((destructor)) static void after_main(void)
{
    if (early >= 0) {
        EXPECT(peer_is(early, "192.0.2.5", 80) && echoes(early) && close(early) == 0);
        EXPECT(close(plugin_reach()) == 0);
        write(2, "destructor\n", 11) < 0 ? _exit(1) : (void)0;
    }
}
