/*
 * The first instructions of the process. They tell the embedded loader of musl, on the kernel's initial stack, where it
 * lies itself and where the program is, as the kernel would have had there been a PT_INTERP, and jump into it.
 *
 * LD_PRELOAD is out of its sight meanwhile: it names libraries that the host has for its own C library. The program's
 * children get it back.
 */
#include "shim.h"

enum { AT_PHDR = 3, AT_PHNUM = 5, AT_BASE = 7, AT_ENTRY = 9, AT_PLATFORM = 15, AT_CLKTCK = 17, AT_BASE_PLATFORM = 24 };

extern void shimAfterLoader(void);

/* Gives the first letter of LD_PRELOAD another one; answers where the environment ends. */
static char **renamePreload(char **environment, char from, char to) {
  for (; *environment != NULL; environment++) {
    if (**environment != from) continue;
    const char *wanted = "D_PRELOAD=", *name = *environment + 1;
    while (*wanted != 0 && *wanted == *name) wanted++, name++;
    if (*wanted == 0) **environment = to;
  }
  return environment;
}

static char **environmentOf(uint64_t *stack) {
  return (char **)(stack + 1 + stack[0] + 1);
}

/* Answers where to go on: the loader's entry. */
__attribute__((used)) uint64_t shimPrepareLoader(uint64_t *stack) {
  uint64_t *vector = (uint64_t *)(renamePreload(environmentOf(stack), 'L', 'l') + 1), *base = NULL, *spare = NULL;
  for (; vector[0] != 0; vector += 2) switch (vector[0]) {
      /* Kernels before 5.18 take it from the first segment, which is not the one with the headers. */
      case AT_PHDR: vector[1] = config.appHeaders; break;
      case AT_PHNUM: vector[1] = config.appHeaderCount; break;
      case AT_BASE: base = vector; break;
      case AT_ENTRY: vector[1] = (uint64_t)shimAfterLoader; break;
      case AT_PLATFORM:
      case AT_CLKTCK:
      case AT_BASE_PLATFORM: spare = vector; break;
    }
  if (base == NULL) base = spare;
  if (base == NULL) {
    /* Too early for fatal(): nothing has bound the slot of abort. */
    static const char message[] = "fatal: the kernel's auxiliary vector has no place for AT_BASE\n";
    systemCall(WRITE, 2, (int64_t)message, sizeof message - 1, 0);
    for (;;) systemCall(EXIT_GROUP, 127, 0, 0, 0);
  }
  base[0] = AT_BASE;
  base[1] = config.loaderBase;
  return config.loaderEntry;
}

/* Answers where to go on: the program's entry. */
__attribute__((used)) uint64_t shimPrepareApp(uint64_t *stack) {
  renamePreload(environmentOf(stack), 'l', 'L');
  return config.appEntry;
}

/* std::call_once calls what __once_call, a thread-local variable, points to. */
#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)
#if defined __x86_64__
__asm__(".section .text.start,\"ax\"\n"
        ".globl shimStart\nshimStart:\n"
        "  mov %rsp,%rdi\n  mov %rsp,%rbx\n  and $-16,%rsp\n  call shimPrepareLoader\n  mov %rbx,%rsp\n"
        "  xor %edx,%edx\n  xor %ebp,%ebp\n  jmp *%rax\n"
        ".globl shimAfterLoader\nshimAfterLoader:\n"
        "  mov %rsp,%rdi\n  mov %rsp,%rbx\n  mov %rdx,%r12\n  and $-16,%rsp\n  call shimPrepareApp\n  mov %rbx,%rsp\n"
        "  mov %r12,%rdx\n  xor %ebp,%ebp\n  jmp *%rax\n"
        ".globl __once_proxy\n__once_proxy:\n"
        "  mov config+" TEXT(ONCE_CALL_SLOT_AT) ",%rax\n  mov (%rax),%rax\n  jmp *%fs:(%rax)\n"
        ".text\n");
#elif defined __aarch64__
__asm__(".section .text.start,\"ax\"\n"
        ".globl shimStart\nshimStart:\n"
        "  mov x0, sp\n  bl shimPrepareLoader\n  mov x16, x0\n  mov x0, xzr\n  mov x29, xzr\n  mov x30, xzr\n  br x16\n"
        ".globl shimAfterLoader\nshimAfterLoader:\n"
        "  mov x19, x0\n  mov x0, sp\n  bl shimPrepareApp\n  mov x16, x0\n  mov x0, x19\n  mov x29, xzr\n"
        "  mov x30, xzr\n  br x16\n"
        ".globl __once_proxy\n__once_proxy:\n"
        "  adrp x16, config+" TEXT(ONCE_CALL_SLOT_AT) "\n"
        "  ldr x16, [x16, #:lo12:config+" TEXT(ONCE_CALL_SLOT_AT) "]\n"
        "  ldr x16, [x16]\n  mrs x17, tpidr_el0\n  ldr x16, [x17, x16]\n  br x16\n"
        ".text\n");
#endif
