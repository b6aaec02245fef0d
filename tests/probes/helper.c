/* Connects to HELPER, the UNIX socket of a program that acts for others. */
#define _GNU_SOURCE 1
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "scene.h"

static struct sockaddr_un helper(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    EXPECT(strlen(getenv("HELPER")) < sizeof address.sun_path);
    strcpy(address.sun_path, getenv("HELPER"));
    return address;
}

static void connects(void)
{
    struct sockaddr_un address = helper();
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        EXPECT(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
        EXPECT(close(fd) == 0);
    }
}

/* A server of our own family, which has the library. */
static void scene_inside(void)
{
    struct sockaddr_un address = helper();
    int ready[2], stop[2], status;
    char byte;
    EXPECT(pipe(ready) == 0 && pipe(stop) == 0);
    unlink(address.sun_path);
    pid_t child = fork();
    if (child == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        EXPECT(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0);
        EXPECT(close(stop[1]) == 0 && write(ready[1], "x", 1) == 1);
        _exit(read(stop[0], &byte, 1) != 0);
    }
    EXPECT(read(ready[0], &byte, 1) == 1);
    connects();
    EXPECT(close(stop[1]) == 0 && waitpid(child, &status, 0) == child && status == 0);
}

/* As dirmngr does: a server that goes into the background after it has begun to listen. The kernel knows
 * the process that has ended. */
static void scene_background(void)
{
    struct sockaddr_un address = helper();
    int stop[2], status;
    char byte;
    EXPECT(pipe(stop) == 0);
    unlink(address.sun_path);
    pid_t child = fork();
    if (child == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        EXPECT(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0);
        EXPECT(prctl(PR_SET_NAME, "tmux: server") == 0);
        if (fork() != 0)
            _exit(0);
        EXPECT(close(stop[1]) == 0);
        _exit(read(stop[0], &byte, 1) != 0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    connects();
    EXPECT(close(stop[1]) == 0);
}

/* A service that looks names up without Tor seems not to run. */
static void scene_lookups(void)
{
    struct sockaddr_un address = helper();
    FAILS(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address), ECONNREFUSED);
    FAILS(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address,
                  offsetof(struct sockaddr_un, sun_path) + strlen(address.sun_path)), ECONNREFUSED);
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {
        {"outside", connects},
        {"inside", scene_inside},
        {"background", scene_background},
        {"lookups", scene_lookups},
        {NULL, NULL},
    };
    return play(scenes, count, arguments);
}
