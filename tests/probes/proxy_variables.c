/* Loads LIBCURL and lets it ask for a proxy; then asks itself, and the environment that children get. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "scene.h"

extern char **environ;

static void asks(void)
{
    void *library = dlopen(getenv("LIBCURL"), RTLD_NOW);
    EXPECT(library);
    int (*perform)(void *) = (int (*)(void *))dlsym(library, "curl_easy_perform");
    EXPECT(perform && perform(NULL) == 0);
}

static void scene_alone(void)
{
    asks();
    EXPECT(!getenv("ALL_PROXY") && !getenv("NO_PROXY"));
    for (char **entry = environ; *entry; entry++)
        EXPECT(strncmp(*entry, "ALL_PROXY", 9) != 0 && strncmp(*entry, "NO_PROXY", 8) != 0);
}

static void scene_given(void)
{
    asks();
}

/* The parent's and the child's isolation differ. */
static void scene_forked(void)
{
    int status;
    asks();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        asks();
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

int main(int count, char **arguments)
{
    static const struct scene scenes[] = {
        {"alone", scene_alone},
        {"given", scene_given},
        {"forked", scene_forked},
        {NULL, NULL},
    };
    return play(scenes, count, arguments);
}
