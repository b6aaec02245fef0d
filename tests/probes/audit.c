/* An audit library: the dynamic linker loads it into a namespace of its own, with a libc of its own. */
#define _GNU_SOURCE 1
#include <link.h>
#include <string.h>
#include <unistd.h>

unsigned la_version(unsigned version)
{
    static const char text[] = "an audit library is loaded\n";
    (void)!write(2, text, sizeof text - 1);
    return version;
}
