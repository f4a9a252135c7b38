"""Functions of the C and C++ run-time libraries that have a meaning for code generation, by name."""

from __future__ import annotations

GET_ADDRESS = "__tls_get_addr"
"""Gives the address of a thread-local variable of the general and local dynamic models."""

_NORETURN = """
    abort exit _exit _Exit quick_exit __assert_fail __assert_perror_fail __assert __stack_chk_fail __chk_fail
    __fortify_fail longjmp siglongjmp _longjmp __longjmp_chk pthread_exit thrd_exit err errx verr verrx
    _Unwind_Resume __cxa_throw __cxa_rethrow __cxa_bad_cast __cxa_bad_typeid __cxa_pure_virtual
    __cxa_call_unexpected __cxa_throw_bad_array_new_length __cxa_throw_bad_array_length __clang_call_terminate
    _ZSt9terminatev _ZSt17__throw_bad_allocv _ZSt20__throw_length_errorPKc _ZSt19__throw_logic_errorPKc
    _ZSt20__throw_out_of_rangePKc _ZSt24__throw_out_of_range_fmtPKcz _ZSt24__throw_invalid_argumentPKc
    _ZSt16__throw_bad_castv _ZSt25__throw_bad_function_callv _ZSt21__throw_runtime_errorPKc
    _ZSt28__throw_bad_array_new_lengthv
"""
NORETURN = frozenset(_NORETURN.split())
"""They never return. A unit's own noreturn functions are not known here."""
