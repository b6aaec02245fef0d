/* exec_family FORM PROGRAM: runs PROGRAM by one form of the exec family, with an environment that
   lacks everything of ours, and prints how it ended: `status N` or `errno N`. With OTHER_IDS set the
   effective group is not the real one. AUDIT is the LD_AUDIT of every environment. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/fsuid.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

extern char **environ;
extern __typeof__(popen) _IO_popen;
static char *bare[] = {"PATH=/usr/bin:/bin", NULL, NULL};

/* Gives every environment an audit library, if there is to be one. */
static void add_audit(void)
{
    static char entry[512];
    if (getenv("AUDIT")) {
        snprintf(entry, sizeof entry, "LD_AUDIT=%s", getenv("AUDIT"));
        bare[1] = entry;
    }
    if (bare[1])
        putenv(bare[1]);
}

/* The process's own environment, and behind it a second LD_PRELOAD, which the dynamic linker takes. */
static char **appended(void)
{
    static char *block[256];
    int count = 0;
    while (environ[count] && count < 254) {
        block[count] = environ[count];
        count++;
    }
    block[count] = "LD_PRELOAD=";
    return block;
}

static void run(const char *form, const char *program)
{
    char *name = strrchr(program, '/') ? (char *)strrchr(program, '/') + 1 : (char *)program;
    char *arguments[] = {name, "1", "2", "3", "4", "5", "6", "7", "8", "9", NULL};
    if (strcmp(form, "execve") == 0)
        execve(program, arguments, bare);
    else if (strcmp(form, "execve-null") == 0)
        execve(program, arguments, NULL);
    else if (strcmp(form, "execve-appended") == 0)
        execve(program, arguments, appended());
    else if (strcmp(form, "execvpe") == 0)
        execvpe(program, arguments, bare);
    else if (strcmp(form, "execle") == 0)
        execle(program, name, "1", "2", "3", "4", "5", "6", "7", "8", "9", (char *)NULL, bare);
    else if (strcmp(form, "fexecve") == 0)
        fexecve(open(program, O_RDONLY), arguments, bare);
    else if (strcmp(form, "execveat") == 0)
        execveat(AT_FDCWD, program, arguments, bare, 0);
    else if (strcmp(form, "syscall") == 0)
        syscall(SYS_execve, program, arguments, bare);
    else if (strcmp(form, "syscall-at") == 0)
        syscall(SYS_execveat, open(program, O_PATH), "", arguments, bare, AT_EMPTY_PATH);
    environ = bare;
    if (strcmp(form, "execv") == 0)
        execv(program, arguments);
    else if (strcmp(form, "execvp") == 0)
        execvp(program, arguments);
    else if (strcmp(form, "execl") == 0)
        execl(program, name, "1", "2", "3", "4", "5", "6", "7", "8", "9", (char *)NULL);
    else if (strcmp(form, "execlp") == 0)
        execlp(program, name, "1", "2", "3", "4", "5", "6", "7", "8", "9", (char *)NULL);
}

static int spawned(const char *form, const char *program)
{
    char *arguments[] = {(char *)program, "1", "2", "3", "4", "5", "6", "7", "8", "9", NULL};
    char command[512];
    pid_t child;
    int status, error = 0;
    if (strncmp(form, "system", 6) == 0 || strstr(form, "popen")) {
        snprintf(command, sizeof command, "%s 1 2 3 4 5 6 7 8 9", program);
        if (strcmp(form, "system-appended") == 0)
            environ = appended();
        else {
            clearenv();
            add_audit();
        }
        if (form[0] == 's')
            return system(command);
        FILE *pipe = form[0] == 'p' ? popen(command, "w") : _IO_popen(command, "w");
        return pipe ? pclose(pipe) : -1;
    }
    if (strcmp(form, "posix_spawn") == 0)
        error = posix_spawn(&child, program, NULL, NULL, arguments, bare);
    else if (strcmp(form, "posix_spawnp") == 0)
        error = posix_spawnp(&child, program, NULL, NULL, arguments, bare);
    else if (strncmp(form, "pidfd_spawn", 11) == 0) {
        /* Asked for by name, so that the program starts with an older libc, too. */
        typeof(posix_spawn) *spawn = dlsym(RTLD_DEFAULT, form);
        int descriptor;
        if ((error = spawn(&descriptor, program, NULL, NULL, arguments, bare)) == 0)
            child = -1;
    } else if (strcmp(form, "posix_spawn-ids") == 0) {
        posix_spawnattr_t attributes;
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_RESETIDS);
        error = posix_spawn(&child, program, NULL, &attributes, arguments, bare);
    } else if (strcmp(form, "posix_spawnp-chdir") == 0) {
        posix_spawn_file_actions_t actions;
        char folder[512];
        snprintf(folder, sizeof folder, "%s", program);
        *strrchr(folder, '/') = 0;
        setenv("PATH", ".", 1);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addchdir_np(&actions, folder);
        error = posix_spawnp(&child, strrchr(program, '/') + 1, &actions, NULL, arguments, bare);
    } else if (strcmp(form, "posix_spawn-chdir") == 0) {
        posix_spawn_file_actions_t actions;
        char folder[512];
        snprintf(folder, sizeof folder, "%s", program);
        *strrchr(folder, '/') = 0;
        snprintf(command, sizeof command, ".%s", strrchr(program, '/'));
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addchdir_np(&actions, folder);
        error = posix_spawn(&child, command, &actions, NULL, arguments, bare);
    } else {
        fprintf(stderr, "exec_family: no such form\n");
        exit(2);
    }
    if (error) {
        errno = error;
        return -1;
    }
    return waitpid(child, &status, 0) > 0 ? status : -1;
}

/* Prints what the shell says that wordexp starts. */
static int expand(const char *words)
{
    wordexp_t expanded;
    clearenv();
    int result = wordexp(words, &expanded, 0);
    printf("%d %s\n", result, result == 0 && expanded.we_wordc ? expanded.we_wordv[0] : "-");
    return 0;
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    add_audit();
    if (strcmp(arguments[1], "wordexp") == 0)
        return expand(arguments[2]);
    const char *form = arguments[1], *program = arguments[2];
    int status, told[2], error = 0;
    const char *other = getenv("OTHER_IDS");
    if (other && strcmp(other, "files") == 0)
        setfsgid(getgid() + 1);
    else if (other && setegid(getgid() + 1) != 0)
        return 2;
    if (strstr(form, "_spawn") || strncmp(form, "system", 6) == 0 || strstr(form, "popen")) {
        status = spawned(form, program);
        error = status == -1 ? errno : 0;
    } else {
        if (pipe2(told, O_CLOEXEC) != 0)
            return 2;
        pid_t child = strcmp(form, "execvpe") == 0 ? vfork() : fork();
        if (child == 0) {
            errno = 0;
            run(form, program);
            error = errno;
            if (write(told[1], &error, sizeof error) < 0)
                _exit(125);
            _exit(126);
        }
        close(told[1]);
        if (read(told[0], &error, sizeof error) != sizeof error)
            error = 0;
        waitpid(child, &status, 0);
    }
    if (error)
        printf("errno %d\n", error);
    else
        printf("status %d\n", WEXITSTATUS(status));
    return 0;
}
