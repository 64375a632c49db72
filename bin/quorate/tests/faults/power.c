/* A disk that forgets what was not synced, as far as one process can tell.
 *
 * Preloaded into a node. For each file below QUORATE_POWER_ROOT it keeps, in the folder QUORATE_POWER_SHADOW, what
 * would be left after a power loss:
 *
 *   file.INODE   the content as of the last syncs: only ranges that were written before an fsync are in it
 *   keep.INODE   a hard link to the file, so that its inode number is not given away once it is removed
 *   dir.INODE    the names as of the folder's last fsync, one `KIND INODE NAME` on a line; the kind is f or d
 *
 * The test ends the process and puts that content and those names back. With QUORATE_POWER_LIE an fdatasync, by
 * which the log is synced, keeps nothing: the disk lies, and the test must notice.
 *
 * One lock for all: the order in which calls are seen is the order in which they happened.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 4096

struct range { off_t from, to; struct range *next; };
struct file { ino_t inode; struct range *dirty; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[FILES_MAX];
static size_t files_count;
static char root[PATH_MAX], shadow[PATH_MAX];
static int lies;

#define REAL(name, type, ...) static type (*real_##name)(__VA_ARGS__)
REAL(open64, int, const char *, int, ...);
REAL(openat64, int, int, const char *, int, ...);
REAL(write, ssize_t, int, const void *, size_t);
REAL(writev, ssize_t, int, const struct iovec *, int);
REAL(pwrite64, ssize_t, int, const void *, size_t, off_t);
REAL(ftruncate64, int, int, off_t);
REAL(fsync, int, int);
REAL(fdatasync, int, int);
REAL(rename, int, const char *, const char *);
REAL(unlink, int, const char *);
REAL(unlinkat, int, int, const char *, int);
REAL(sync_file_range, int, int, off_t, off_t, unsigned);

static void die(const char *what) {
    fprintf(stderr, "power.c: %s: %s\n", what, strerror(errno));
    _exit(99);
}

__attribute__((constructor)) static void begin(void) {
#define FIND(name) real_##name = dlsym(RTLD_NEXT, #name)
    FIND(open64); FIND(openat64); FIND(write); FIND(writev); FIND(pwrite64); FIND(ftruncate64); FIND(fsync);
    FIND(fdatasync); FIND(rename); FIND(unlink); FIND(unlinkat); FIND(sync_file_range);
    const char *at = getenv("QUORATE_POWER_ROOT"), *to = getenv("QUORATE_POWER_SHADOW");
    if (!at || !to || snprintf(root, sizeof root, "%s", at) < 1 || snprintf(shadow, sizeof shadow, "%s", to) < 1) {
        fprintf(stderr, "power.c: QUORATE_POWER_ROOT or QUORATE_POWER_SHADOW is missing\n");
        _exit(99);
    }
    lies = getenv("QUORATE_POWER_LIE") != NULL;
}

/* Whether `fd` is below the root: its kind (S_IFREG, S_IFDIR), or 0. */
static mode_t ours(int fd, struct stat *stat) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    size_t root_length = strlen(root);
    if (strncmp(path, root, root_length) || (path[root_length] != '/' && path[root_length])) return 0;
    if (fstat(fd, stat)) return 0;
    return stat->st_mode & S_IFMT;
}

static int shadow_open(const char *kind, ino_t inode, int flags) {
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s.%lu", shadow, kind, (unsigned long)inode);
    int fd = real_open64(path, flags, 0600);
    if (fd < 0) die(path);
    return fd;
}

static struct file *find(ino_t inode) {
    for (size_t i = 0; i < files_count; i++)
        if (files[i].inode == inode) return &files[i];
    if (files_count == FILES_MAX) die("too many files");
    files[files_count] = (struct file){ .inode = inode };
    return &files[files_count++];
}

/* Remembers that a range is in the page cache only. Ranges that follow each other are one. */
static void dirty(int fd, off_t from, off_t to) {
    struct stat stat;
    if (from >= to || ours(fd, &stat) != S_IFREG) return;
    struct file *file = find(stat.st_ino);
    if (file->dirty && file->dirty->to == from) { file->dirty->to = to; return; }
    struct range *range = malloc(sizeof *range);
    if (!range) die("malloc");
    *range = (struct range){ from, to, file->dirty };
    file->dirty = range;
}

static void copy(int from, int to, struct range range, off_t size) {
    static char buffer[1 << 16];
    if (range.to > size) range.to = size;
    while (range.from < range.to) {
        size_t wanted = range.to - range.from < (off_t)sizeof buffer ? (size_t)(range.to - range.from) : sizeof buffer;
        ssize_t n = pread64(from, buffer, wanted, range.from);
        if (n <= 0) die("a file can't be read");
        if (real_pwrite64(to, buffer, n, range.from) != n) die("the shadow can't be written");
        range.from += n;
    }
}

static void keep_file(int fd, struct stat *stat) {
    /* Not `fd`, which may not be readable. */
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int from = real_open64(link, O_RDONLY | O_CLOEXEC);
    if (from < 0) die("a file can't be opened");
    int to = shadow_open("file", stat->st_ino, O_CREAT | O_WRONLY | O_CLOEXEC);
    if (real_ftruncate64(to, stat->st_size)) die("the shadow can't be cut");
    struct file *file = find(stat->st_ino);
    while (file->dirty) {
        struct range *range = file->dirty;
        copy(from, to, *range, stat->st_size);
        file->dirty = range->next;
        free(range);
    }
    close(from);
    close(to);
}

static void keep_names(int fd, struct stat *stat) {
    char link[64], text[PATH_MAX + 64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    DIR *folder = opendir(link);
    if (!folder) die("a folder can't be read");
    int to = shadow_open("dir", stat->st_ino, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        int length = snprintf(text, sizeof text, "%c %lu %s\n", entry->d_type == DT_DIR ? 'd' : 'f',
            (unsigned long)entry->d_ino, entry->d_name);
        if (real_write(to, text, length) != length) die("the shadow can't be written");
    }
    close(to);
    closedir(folder);
}

static void synced(int fd) {
    struct stat stat;
    mode_t kind = ours(fd, &stat);
    if (kind == S_IFREG) keep_file(fd, &stat);
    if (kind == S_IFDIR) keep_names(fd, &stat);
}

/* Before a name goes away. */
static void keep_inode(const char *path) {
    struct stat stat;
    char to[PATH_MAX + 64];
    if (strncmp(path, root, strlen(root)) || lstat(path, &stat) || !S_ISREG(stat.st_mode)) return;
    snprintf(to, sizeof to, "%s/keep.%lu", shadow, (unsigned long)stat.st_ino);
    if (link(path, to) && errno != EEXIST) die(to);
}

static int opened(int fd, int flags) {
    /* Emptying is like a write: it is on the disk after a sync. What was dirty is no more. */
    struct stat stat;
    if (fd >= 0 && flags & O_TRUNC) {
        pthread_mutex_lock(&lock);
        if (ours(fd, &stat) == S_IFREG) find(stat.st_ino)->dirty = NULL;
        pthread_mutex_unlock(&lock);
    }
    return fd;
}

#define MODE mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open64(const char *path, int flags, ...) { MODE return opened(real_open64(path, flags, mode), flags); }
int open(const char *path, int flags, ...) { MODE return opened(real_open64(path, flags, mode), flags); }
int openat64(int at, const char *path, int flags, ...) { MODE return opened(real_openat64(at, path, flags, mode), flags); }
int openat(int at, const char *path, int flags, ...) { MODE return opened(real_openat64(at, path, flags, mode), flags); }

#define LOCKED(type, call, after) \
    pthread_mutex_lock(&lock); \
    type result = call; \
    int error = errno; \
    if (result >= 0) { after; } \
    pthread_mutex_unlock(&lock); \
    errno = error; \
    return result

/* Sockets, pipes and standard streams have no place: they are not ours. */
static int has_place(int fd) { return lseek64(fd, 0, SEEK_CUR) >= 0; }

static void appended(int fd, ssize_t count) {
    off_t end = lseek64(fd, 0, SEEK_CUR);
    dirty(fd, end - count, end);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (!has_place(fd)) return real_write(fd, bytes, count);
    LOCKED(ssize_t, real_write(fd, bytes, count), appended(fd, result));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!has_place(fd)) return real_writev(fd, parts, count);
    LOCKED(ssize_t, real_writev(fd, parts, count), appended(fd, result));
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
    LOCKED(ssize_t, real_pwrite64(fd, bytes, count, at), dirty(fd, at, at + result));
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }
/* The new length, and zeros where it grows, are on the disk after the next sync, which sets the length. */
int ftruncate64(int fd, off_t length) { return real_ftruncate64(fd, length); }
int ftruncate(int fd, off_t length) { return real_ftruncate64(fd, length); }

int fsync(int fd) { LOCKED(int, real_fsync(fd), synced(fd)); }
int fdatasync(int fd) { LOCKED(int, real_fdatasync(fd), if (!lies) synced(fd)); }
/* Promises nothing about a power loss, so nothing is kept. */
int sync_file_range(int fd, off_t from, off_t count, unsigned flags) {
    return real_sync_file_range(fd, from, count, flags);
}

int rename(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    keep_inode(to);
    int result = real_rename(from, to), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int unlink(const char *path) {
    pthread_mutex_lock(&lock);
    keep_inode(path);
    int result = real_unlink(path), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
/* What `remove_dir_all` calls, on files below a folder that is open. */
int unlinkat(int at, const char *path, int flags) {
    pthread_mutex_lock(&lock);
    if (!(flags & AT_REMOVEDIR)) {
        char link[64], whole[2 * PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t length = readlink(link, whole, PATH_MAX - 1);
        if (length > 0) {
            snprintf(whole + length, sizeof whole - length, "/%s", path);
            keep_inode(whole);
        }
    }
    int result = real_unlinkat(at, path, flags), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
