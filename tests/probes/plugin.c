/* A library that a program loads. With CONSTRUCTOR set it uses sockets before main and after it. */
#define _GNU_SOURCE 1
#include "scene.h"

int plugin_reach(void);

int plugin_reach(void)
{
    int fd = connected("192.0.2.5", 80);
    EXPECT(echoes(fd) && peer_is(fd, "192.0.2.5", 80));
    return fd;
}

static int early = -1;

__attribute__((constructor)) static void before_main(void)
{
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
