"""Writes the x86_64 assembly of stub libraries. Pure text: names in, source out."""

import re
from collections.abc import Iterable, Mapping

from images.vllm_cpu.symbols import Definition

MESSAGE = ": the CUDA part of torch was called, but this build of it has none\\n"
MESSAGE_LENGTH = len(MESSAGE) - 1  # \n is one byte once assembled
HEADER = ['.section .note.GNU-stack,"",@progbits', ".text"]
# writes the name in rsi, of length edx, and the message to stderr, and ends all threads with code 134
DIE = f""".Ldie:
mov $2,%edi
mov $1,%eax
syscall
lea .Lmessage(%rip),%rsi
mov ${MESSAGE_LENGTH},%edx
mov $2,%edi
mov $1,%eax
syscall
mov $134,%edi
mov $231,%eax
syscall
hlt"""
# Three kinds of functions are called while `import torch` runs, and so have to answer:
ANSWERS = (
    # "is there an X?" -> no
    (re.compile(r"is_\w*available"), "xor %eax,%eax\nret"),
    # a place to hang a hook on -> the address of an empty one
    (re.compile(r"get_gil_checker"), "lea .Lslot(%rip),%rax\nret"),
    # the constructor of a default argument -> its virtual table and zeros (0xf8 bytes in torch 2.13.0)
    (
        re.compile(r"ProcessGroupNCCL7OptionsC"),
        "mov _ZTVN4c10d16ProcessGroupNCCL7OptionsE@GOTPCREL(%rip),%rax\nadd $16,%rax\nmov %rax,(%rdi)\n"
        "add $8,%rdi\nmov $30,%ecx\nxor %eax,%eax\nrep stosq\nret",
    ),
)
SMALLEST_OBJECT = 8


def cuda_source(symbols: Mapping[str, Definition]) -> str:
    """A library whose functions end the process, but for the few that are called at import."""
    lines = [*HEADER, DIE]
    objects = {}
    for name, definition in symbols.items():
        if definition.kind in ("FUNC", "GNU_IFUNC"):
            lines += [*_label(name, "function"), _answer(name) or _deadly(name)]
        else:
            objects[name] = definition
    lines += [".data", ".balign 16", ".Lslot: .zero 256", f'.Lmessage: .ascii "{MESSAGE}"', ".balign 16"]
    for name, definition in objects.items():
        lines += _object(name, definition)
    return "\n".join(lines) + "\n"


def nvidia_source(functions: Iterable[str]) -> str:
    """A library whose functions all return 1, an error in each of NVIDIA's libraries."""
    lines = list(HEADER)
    for name in functions:
        lines += [*_label(name, "function"), "mov $1,%eax", "ret"]
    return "\n".join(lines) + "\n"


def version_script(versions: Mapping[str, str]) -> str:
    """The linker script that gives symbols the versions under which they are asked for."""
    names_of: dict[str, list[str]] = {}
    for name, version in versions.items():
        names_of.setdefault(version, []).append(name)
    blocks = []
    for version, names in names_of.items():
        quoted = " ".join(f'"{name}";' for name in names)
        blocks.append(f"{version} {{ global: {quoted} }};\n")
    return "".join(blocks)


def _label(name: str, kind: str) -> list[str]:
    return [f'.globl "{name}"', f'.type "{name}",@{kind}', f'"{name}":']


def _answer(name: str) -> str | None:
    return next((code for pattern, code in ANSWERS if pattern.search(name)), None)


def _deadly(name: str) -> str:
    return f'lea 8f(%rip),%rsi\nmov ${len(name)},%edx\njmp .Ldie\n8: .ascii "{name}"'


def _object(name: str, definition: Definition) -> list[str]:
    """Data: zeros, except that type information must look like a class, because C++ casts walk it."""
    size = max(definition.size, SMALLEST_OBJECT)
    thread_local = definition.kind == "TLS"
    lines = ['.section .tbss,"awT",@nobits', ".balign 16"] if thread_local else []
    lines += [f'.size "{name}",{size}', *_label(name, "tls_object" if thread_local else "object")]
    if name.startswith("_ZTI"):
        lines += [".quad _ZTVN10__cxxabiv117__class_type_infoE+16", ".quad 9f", f".zero {size - 16}"]
        lines += [f'9: .asciz "{name[4:]}"', ".balign 16"]
    else:
        lines += [f".zero {(size + 15) // 16 * 16}"]
    return lines + ([".data"] if thread_local else [])
