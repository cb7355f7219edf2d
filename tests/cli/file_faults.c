// This library is preloaded into a process. The FAULT_AT-th of the file operations of the kind FAULT_KIND fails with the error
// FAULT_ERRNO; if that is not set, the process gets a SIGKILL instead. Without FAULT_KIND all operations succeed. Each
// operation below FAULT_PATH adds its kind as a line to the file FAULT_LOG: what is done, and the path from FAULT_PATH on,
// without digits and without the random part of a temporary name.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long seen;

static void kind_of(char *kind, const char *operation, const char *path) {
    const char *temporary = ".partial-";
    kind += sprintf(kind, "%s ", operation);
    while (*path) {
        if (!strncmp(path, temporary, strlen(temporary)))
            path += strcspn(path, "/");
        else if (*path >= '0' && *path <= '9')
            path++;
        else
            *kind++ = *path++;
    }
    *kind = 0;
}

// Whether an operation on `path` fails, with errno set.
static int fails(const char *operation, const char *path) {
    const char *below = getenv("FAULT_PATH"), *struck = getenv("FAULT_KIND"), *error = getenv("FAULT_ERRNO");
    if (!below || !path || strncmp(path, below, strlen(below)))
        return 0;
    char kind[4400], line[4410];
    kind_of(kind, operation, path + strlen(below));
    int hit = struck && !strcmp(kind, struck) && atomic_fetch_add(&seen, 1) + 1 == atol(getenv("FAULT_AT"));
    int length = snprintf(line, sizeof line, "%s%s\n", kind, hit ? " FAULT" : "");
    // System calls are made by number, since the functions of these names are the ones below.
    int log = syscall(SYS_openat, AT_FDCWD, getenv("FAULT_LOG"), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0 || syscall(SYS_write, log, line, (size_t)length) != length)
        abort();
    syscall(SYS_close, log);
    if (!hit)
        return 0;
    if (!error)
        kill(getpid(), SIGKILL);
    errno = atoi(error);
    return 1;
}

static int fails_at(const char *operation, int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(operation, path);
}

// A function of the C library that fails where `fault` says so.
#define FAULTY(type, name, parameters, arguments, fault)                                                               \
    type name parameters {                                                                                             \
        static type(*real) parameters;                                                                                 \
        if (!real)                                                                                                     \
            real = (type(*) parameters)dlsym(RTLD_NEXT, #name);                                                        \
        return fault ? -1 : real arguments;                                                                            \
    }

FAULTY(ssize_t, read, (int f, void *b, size_t n), (f, b, n), fails_at("read", f))
FAULTY(ssize_t, pread64, (int f, void *b, size_t n, off64_t o), (f, b, n, o), fails_at("read", f))
FAULTY(ssize_t, write, (int f, const void *b, size_t n), (f, b, n), fails_at("write", f))
FAULTY(ssize_t, writev, (int f, const struct iovec *v, int n), (f, v, n), fails_at("write", f))
FAULTY(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), (f, b, n, o), fails_at("write", f))
FAULTY(int, fsync, (int f), (f), fails_at("sync", f))
FAULTY(int, fdatasync, (int f), (f), fails_at("sync", f))
FAULTY(int, flock, (int f, int how), (f, how), fails_at("lock", f))
FAULTY(int, fchmod, (int f, mode_t mode), (f, mode), fails_at("chmod", f))
FAULTY(int, rename, (const char *from, const char *to), (from, to), fails("rename", from))
FAULTY(int, mkdir, (const char *path, mode_t mode), (path, mode), fails("mkdir", path))
FAULTY(int, unlink, (const char *path), (path), fails("unlink", path))
FAULTY(int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags), fails("unlink", path))
FAULTY(int, rmdir, (const char *path), (path), fails("rmdir", path))

int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real)
        real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return fails(flags & O_CREAT ? "create" : "open", path) ? -1 : real(path, flags, mode);
}
