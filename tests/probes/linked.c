/* A program that comes with a library, or loads one: its argument. It prints `ran`, or why not. */
#include <dlfcn.h>
#include <stdio.h>

#ifdef LINKED
long reaches(long fd, long address, long length);
#endif

int main(int count, char **arguments)
{
#ifdef LINKED
    if (count > 1000)
        printf("%ld\n", reaches(0, 0, 0));
#endif
    puts(count > 1 && !dlopen(arguments[1], RTLD_NOW) ? dlerror() : "ran");
    return 0;
}
