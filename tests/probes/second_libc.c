/* A second C library beside the process's own, in LIBRARY. Compiled with OF_MUSL it is one itself, as far
   as that can be told: it starts programs and connects past the hooks. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <netdb.h>
#include <resolv.h>

#include "scene.h"

#ifdef OF_MUSL
int __libc_start_main(void);

int __libc_start_main(void)
{
    return 0;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    return (int)raw(SYS_connect, fd, (long)address, length, 0);
}
#endif

static int reaches_by(int (*function)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_in address = v4("192.0.2.1", 80);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return function(fd, (struct sockaddr *)&address, sizeof address) == 0
        && peer_is(fd, "192.0.2.1", 80) && echoes(fd);
}

static void scene_path(void)
{
    const char *library = getenv("LIBRARY");
    EXPECT(dlopen(library, RTLD_NOW) == NULL && strstr(dlerror(), "second C library"));
    EXPECT(dlmopen(LM_ID_BASE, library, RTLD_NOW) == NULL && strstr(dlerror(), "second C library"));
    EXPECT(dlmopen(1, library, RTLD_NOW) == NULL && dlerror() != NULL);
}

/* By a name that the dynamic linker looks for, so that it is loaded. */
static void scene_name(void)
{
    static const char *names[] = {"connect", "socket", "sendto", "getaddrinfo", "execve", "dlsym",
        "dlopen", "syscall", NULL};
    void *second = dlopen(getenv("LIBRARY"), RTLD_NOW);
    EXPECT(second);
    for (const char **name = names; *name; name++) {
        void *found = dlsym(second, *name);
        EXPECT(found == NULL || found == dlsym(RTLD_DEFAULT, *name));
        found = dlvsym(second, *name, OLDEST);
        EXPECT(found == NULL || found == dlsym(RTLD_DEFAULT, *name));
    }
    EXPECT(dlsym(second, "connect") && reaches_by(dlsym(second, "connect")));
}

/* The process's own libc may be named by its path. */
static void scene_own(void)
{
    Dl_info libc;
    EXPECT(dladdr((void *)strnlen, &libc));
    void *handle = dlopen(libc.dli_fname, RTLD_NOW);
    EXPECT(handle && dlsym(handle, "connect") == (void *)connect);
}

static void scene_part(void)
{
    void *part = dlopen(getenv("LIBRARY"), RTLD_NOW);
    EXPECT(part && dlsym(part, "res_query") == dlsym(RTLD_DEFAULT, "res_query"));
    void *old = dlvsym(part, "__res_query", OLDEST);
    EXPECT(old == NULL || old == dlsym(RTLD_DEFAULT, "__res_query"));
}

static void scene_refused(void)
{
    const char *library = getenv("LIBRARY");
    EXPECT(dlopen(library, RTLD_NOW) == NULL && strstr(dlerror(), "system calls of its own"));
    EXPECT(dlmopen(LM_ID_BASE, library, RTLD_NOW) == NULL && dlerror() != NULL);
}

static void scene_loaded(void)
{
    EXPECT(dlopen(getenv("LIBRARY"), RTLD_NOW) != NULL);
}

static void scene_needed(void)
{
    EXPECT(reaches_by(connect));
}

static const struct scene scenes[] = {
    {"path", scene_path}, {"name", scene_name}, {"own", scene_own}, {"part", scene_part},
    {"refused", scene_refused}, {"loaded", scene_loaded},
    {"needed", scene_needed}, {NULL, NULL},
};

int main(int count, char **arguments)
{
    /* malloc of a copy of glibc 2.43 that is not the process's own crashes. */
    setvbuf(stdout, NULL, _IONBF, 0);
    return play(scenes, count, arguments);
}
