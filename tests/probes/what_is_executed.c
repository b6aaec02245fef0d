/* what_is_executed SCENE: in the working directory, a/prog is a program that can be protected and
   ends with status 42, b/prog one that can't be. Each scene executes one of them by a way on which the
   file that is judged could be another one than the file that is executed. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "scene.h"

#define PROTECTED 42

extern char **environ;
static char *arguments[] = {"prog", NULL};
static posix_spawn_file_actions_t actions;
static posix_spawnattr_t attributes;

static int directory(const char *name)
{
    int fd = open(name, O_RDONLY | O_DIRECTORY);
    EXPECT(fd >= 0);
    return fd;
}

/* The status of what is spawned, or the negated errno. */
static int spawn(const char *path)
{
    pid_t child;
    int status, error = posix_spawn(&child, path, &actions, &attributes, arguments, environ);
    if (error)
        return -error;
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int spawnp(const char *file)
{
    pid_t child;
    int status, error = posix_spawnp(&child, file, &actions, &attributes, arguments, environ);
    if (error)
        return -error;
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The same by execvp and execvpe in a child, which must agree. */
static int executed(const char *file)
{
    int results[2];
    for (int way = 0; way < 2; way++) {
        int told[2], error = 0, status;
        EXPECT(pipe2(told, O_CLOEXEC) == 0);
        pid_t child = way ? vfork() : fork();
        if (child == 0) {
            way ? execvpe(file, arguments, environ) : execvp(file, arguments);
            error = errno;
            EXPECT(write(told[1], &error, sizeof error) == sizeof error);
            _exit(1);
        }
        close(told[1]);
        if (read(told[0], &error, sizeof error) != sizeof error)
            error = 0;
        close(told[0]);
        EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status));
        results[way] = error ? -error : WEXITSTATUS(status);
    }
    EXPECT(results[0] == results[1]);
    return results[0];
}

static void file(const char *path, const char *content, int mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    EXPECT(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    EXPECT(fchmod(fd, mode) == 0);
    close(fd);
}

static void path(const char *value)
{
    EXPECT(setenv("PATH", value, 1) == 0);
}

/* Libc passes over a file that the kernel refuses: the next candidate is judged in its turn. */
static void scene_search(void)
{
    file("noexec", "", 0644);
    EXPECT(mkdir("c", 0755) == 0);
    file("c/prog", "#!/nonexistent/sh\n", 0755);
    path("c:b");
    EXPECT(executed("prog") == -EPERM && spawnp("prog") == -EPERM);
    path("c:a:b");
    EXPECT(executed("prog") == PROTECTED && spawnp("prog") == PROTECTED);
    file("c/prog", "#!./noexec\n", 0755);
    path("c:b");
    EXPECT(executed("prog") == -EPERM && spawnp("prog") == -EPERM);
    path("c:a");
    EXPECT(executed("prog") == PROTECTED && spawnp("prog") == PROTECTED);
    path("c");
    EXPECT(executed("prog") == -EACCES && spawnp("prog") == -EACCES);
    file("c/prog", "", 0644);
    path("c:/nonexistent:noexec");
    EXPECT(executed("prog") == -EACCES && spawnp("prog") == -EACCES);
    path("/nonexistent:noexec:");
    EXPECT(executed("prog") == -ENOENT && spawnp("prog") == -ENOENT);
}

/* An empty part of PATH is the working directory; without PATH it is the system's. */
static void scene_directories(void)
{
    for (int i = 0; i < 3; i++) {
        static const char *const values[] = {":/nonexistent", "/nonexistent::/none", ""};
        path(values[i]);
        EXPECT(chdir("a") == 0 && executed("prog") == PROTECTED && spawnp("prog") == PROTECTED);
        EXPECT(chdir("../b") == 0 && executed("prog") == -EPERM && spawnp("prog") == -EPERM);
        EXPECT(chdir("..") == 0);
    }
    EXPECT(unsetenv("PATH") == 0 && executed("true") == 0 && spawnp("true") == 0);
    EXPECT(clearenv() == 0 && executed("true") == 0 && spawnp("true") == 0);
    EXPECT(executed("") == -ENOENT && spawnp("") == -ENOENT);
    EXPECT(executed("a/prog") == PROTECTED && spawnp("./a/prog") == PROTECTED);
}

static void scene_long_names(void)
{
    static char name[PATH_MAX + 300], value[3 * PATH_MAX];
    memset(name, 'n', 256);
    EXPECT(executed(name) == -ENAMETOOLONG && spawnp(name) == -ENAMETOOLONG);
    memset(name, 'n', PATH_MAX + 10);
    name[100] = '/';
    EXPECT(executed(name) == -ENAMETOOLONG && spawnp(name) == -ENAMETOOLONG);
    /* A directory that no path can have is passed over. */
    memset(value, 'd', 2 * PATH_MAX);
    strcpy(value + 2 * PATH_MAX, ":a");
    path(value);
    EXPECT(executed("prog") == PROTECTED && spawnp("prog") == PROTECTED);
}

/* Text is run by the shell, whose script is the candidate that was found. */
static void scene_text(void)
{
    EXPECT(mkdir("c", 0755) == 0);
    file("c/prog", "exit 7\n", 0755);
    path("/nonexistent:c:b");
    EXPECT(executed("prog") == 7 && spawnp("prog") == -ENOEXEC);
    EXPECT(executed("c/prog") == 7 && spawn("c/prog") == -ENOEXEC);
}

static void scene_opened(void)
{
    char name[64];
    int a = directory("a"), b = directory("b");
    /* A usual sequence. */
    posix_spawn_file_actions_addopen(&actions, 77, "a", O_RDONLY | O_DIRECTORY, 0);
    posix_spawn_file_actions_addfchdir_np(&actions, 77);
    EXPECT(spawn("./prog") == PROTECTED && spawnp("./prog") == PROTECTED);
    EXPECT(fcntl(77, F_GETFD) == -1);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, b, a);
    posix_spawn_file_actions_addfchdir_np(&actions, a);
    EXPECT(spawn("./prog") == -EPERM);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, a);
    posix_spawn_file_actions_addopen(&actions, a, "b", O_RDONLY | O_DIRECTORY, 0);
    posix_spawn_file_actions_addfchdir_np(&actions, a);
    EXPECT(spawn("./prog") == -EPERM);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 77, "b/prog", O_RDONLY, 0);
    EXPECT(spawn("/proc/self/fd/77") == -EPERM);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 77, "a/prog", O_RDONLY, 0);
    EXPECT(spawn("/proc/self/fd/77") == PROTECTED && spawn("/dev/fd/77") == PROTECTED);
    posix_spawn_file_actions_init(&actions);
    int good = open("a/prog", O_RDONLY), bad = open("b/prog", O_RDONLY);
    posix_spawn_file_actions_adddup2(&actions, bad, good);
    snprintf(name, sizeof name, "/proc/self/fd/%d", good);
    EXPECT(spawn(name) == -EPERM);
}

/* A relative interpreter is the file that the child sees. */
static void scene_directory_of_interpreter(void)
{
    file("a/script", "#!./prog\n", 0755);
    file("b/script", "#!./prog\n", 0755);
    EXPECT(chdir("a") == 0);
    EXPECT(spawn("script") == PROTECTED);
    posix_spawn_file_actions_addchdir_np(&actions, "../b");
    EXPECT(spawn("script") == -EPERM && spawn("../a/script") == -EPERM);
    EXPECT(chdir("../b") == 0 && spawn("script") == -EPERM);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, "../a");
    EXPECT(spawn("script") == PROTECTED && spawnp("../b/script") == PROTECTED);
}

/* Each action does what POSIX and glibc say, and its error is the call's. */
static void scene_actions(void)
{
    char *shell[] = {"sh", "-c", NULL, NULL};
    static const char *const checks[] = {
        "test ! -e /proc/self/fd/60 && test -e /proc/self/fd/61",
        "test ! -e /proc/self/fd/61 && test ! -e /proc/self/fd/60",
        "test \"$(readlink /proc/self/fd/50)\" = /dev/null",
        "test -e /proc/self/fd/62",
    };
    int null = open("/dev/null", O_RDONLY);
    EXPECT(dup2(null, 60) == 60 && dup2(null, 61) == 61 && dup3(null, 62, O_CLOEXEC) == 62);
    for (int i = 0; i < 4; i++) {
        pid_t child;
        int status;
        posix_spawn_file_actions_init(&actions);
        if (i == 0)
            posix_spawn_file_actions_addclose(&actions, 60);
        else if (i == 1)
            posix_spawn_file_actions_addclosefrom_np(&actions, 60);
        else if (i == 2)
            posix_spawn_file_actions_addopen(&actions, 50, "/dev/null", O_WRONLY, 0);
        else
            posix_spawn_file_actions_adddup2(&actions, 62, 62);
        shell[2] = (char *)checks[i];
        EXPECT(posix_spawn(&child, "/bin/sh", &actions, NULL, shell, environ) == 0);
        EXPECT(waitpid(child, &status, 0) == child);
        if (status)
            printf("check %d\n", i);
        EXPECT(status == 0);
    }
    static const int errors[] = {EBADF, EBADF, ENOENT, ENOENT, ENOTTY};
    for (int i = 0; i < 5; i++) {
        posix_spawn_file_actions_init(&actions);
        if (i == 0)
            posix_spawn_file_actions_adddup2(&actions, 90, 3);
        else if (i == 1)
            posix_spawn_file_actions_addfchdir_np(&actions, 90);
        else if (i == 2)
            posix_spawn_file_actions_addopen(&actions, 90, "/nonexistent/x", O_RDONLY, 0);
        else if (i == 3)
            posix_spawn_file_actions_addchdir_np(&actions, "/nonexistent");
        else
            posix_spawn_file_actions_addtcsetpgrp_np(&actions, null);
        EXPECT(spawn("a/prog") == -errors[i]);
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, 90);
    EXPECT(spawn("a/prog") == PROTECTED);
    /* An action of a newer libc. */
    **(int **)((char *)&actions + 8) = 7;
    EXPECT(spawn("a/prog") == -ENOSYS);
    FAILS(waitpid(-1, NULL, 0), ECHILD);
}

static void unused(int signal)
{
    (void)signal;
}

static void scene_attributes(void)
{
    /* A shell would change its own mask. */
    char *check[] = {"grep", "-q", NULL, "/proc/self/status", NULL};
    char *shell[] = {"sh", "-c", NULL, NULL};
    static const char *const checks[] = {
        "^SigBlk:\t0000000000000000$",
        "set -- $(cat /proc/$$/stat) && test $6 = $$",
        "set -- $(cat /proc/$$/stat) && test $5 = $$",
        "^SigBlk:\t0000000000000a00$",
        "^SigIgn:\t[0-9a-f]*0$",
        "^SigBlk:\t0000000000004000$",
    };
    sigset_t set;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, unused);
    for (int i = 0; i < 6; i++) {
        pid_t child;
        int status;
        posix_spawnattr_init(&attributes);
        sigemptyset(&set);
        if (i == 1)
            posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
        if (i == 2)
            posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_USEVFORK);
        if (i == 3) {
            sigaddset(&set, SIGUSR1);
            sigaddset(&set, SIGUSR2);
            posix_spawnattr_setsigmask(&attributes, &set);
            posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        }
        if (i == 4) {
            sigaddset(&set, SIGINT);
            posix_spawnattr_setsigdefault(&attributes, &set);
            posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        }
        if (i == 5) {
            sigaddset(&set, SIGTERM);
            EXPECT(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
        }
        char **words = i == 1 || i == 2 ? shell : check;
        words[2] = (char *)checks[i];
        EXPECT(posix_spawnp(&child, words[0], NULL, &attributes, words, environ) == 0);
        EXPECT(waitpid(child, &status, 0) == child);
        if (status)
            printf("check %d\n", i);
        EXPECT(status == 0);
    }
    /* The caller's own handlers and mask are as before. */
    struct sigaction action;
    EXPECT(sigaction(SIGTERM, NULL, &action) == 0 && action.sa_handler == unused);
    EXPECT(sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    EXPECT(sigprocmask(SIG_SETMASK, NULL, &set) == 0);
    EXPECT(sigismember(&set, SIGTERM) && !sigismember(&set, SIGUSR1));
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 1);
    EXPECT(spawn("a/prog") == -EPERM || spawn("a/prog") == -ESRCH);
}

/* A child that fails costs no memory, and one that has many variables neither. */
static void scene_memory(void)
{
    static char *many[3000], line[256];
    long before = 0, after = 0;
    for (int i = 0; i < 600; i++)
        many[i] = "VARIABLE=1";
    for (int i = 0; i < 40; i++) {
        pid_t child = vfork();
        int status;
        if (child == 0) {
            execve("a/prog", arguments, many);
            _exit(1);
        }
        EXPECT(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == PROTECTED);
        EXPECT(posix_spawn(&child, "a/prog", NULL, NULL, arguments, many) == 0);
        EXPECT(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == PROTECTED);
        EXPECT(spawn("b/prog") == -EPERM);
        FILE *file = fopen("/proc/self/status", "r");
        EXPECT(file);
        while (fgets(line, sizeof line, file))
            sscanf(line, "VmSize: %ld", &after);
        fclose(file);
        if (i == 5)
            before = after;
    }
    EXPECT(before > 0 && after == before);
}

/* A check executes nothing, and is answered as the call would be. */
static void scene_check(void)
{
    enum { CHECK = 0x10000 }; /* AT_EXECVE_CHECK of Linux 6.14 */
    int fd = open("a/prog", O_RDONLY | O_CLOEXEC);
    for (int way = 0; way < 3; way++) {
        errno = 0;
        int checked = way == 0 ? execveat(AT_FDCWD, "a/prog", arguments, environ, CHECK)
            : way == 1         ? execveat(fd, "", arguments, environ, CHECK | AT_EMPTY_PATH)
                       : (int)syscall(SYS_execveat, fd, "", arguments, environ, CHECK | AT_EMPTY_PATH);
        /* Older kernels know no checks. */
        EXPECT(checked == 0 ? errno == 0 : errno == EINVAL);
    }
    FAILS(execveat(AT_FDCWD, "b/prog", arguments, environ, CHECK), EPERM);
}

static const struct scene scenes[] = {
    {"check", scene_check},
    {"search", scene_search},
    {"directories", scene_directories},
    {"long-names", scene_long_names},
    {"text", scene_text},
    {"opened", scene_opened},
    {"directory-of-interpreter", scene_directory_of_interpreter},
    {"actions", scene_actions},
    {"attributes", scene_attributes},
    {"memory", scene_memory},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    return play(scenes, count, arguments);
}
