"""Expand variables, quotes and escapes in the words of a Dockerfile, and split words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.dockerfile.characters import SPACES, is_name_character, quoted
from engine.dockerfile.errors import ExpansionError, UnboundVariable
from engine.dockerfile.substitution import remove_prefix, remove_suffix, replace

_SPECIAL_PARAMETERS = "@*#?-$!"


def expand_word(text: str, env: Mapping[str, str], escape: str = "\\") -> str:
    """`text` with variables replaced, quotes removed and escapes resolved, as one word."""
    return Lexer(escape=escape).word(text, env)


def expand_words(text: str, env: Mapping[str, str], escape: str = "\\") -> list[str]:
    """`text` expanded and split at spaces that are not quoted."""
    return Lexer(escape=escape).words(text, env)


def expand_heredoc(content: str, env: Mapping[str, str]) -> str:
    """A here document's content expanded: quotes stay, and `\\` escapes in every file."""
    return Lexer(quotes_are_text=True).word(content, env)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexer:
    """The rules of an expansion; the usual ones by default."""

    escape: str = "\\"
    quotes_are_text: bool = False
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False
    no_unset: bool = False

    def word(self, text: str, env: Mapping[str, str]) -> str:
        """`text` expanded as one word."""
        return "".join(piece for piece, _ in self._pieces(text, env))

    def words(self, text: str, env: Mapping[str, str]) -> list[str]:
        """`text` expanded, then split at the spaces that were not quoted or escaped."""
        words: list[str] = []
        current = ""
        for piece, splits in self._pieces(text, env):
            if not splits:
                current += piece
                continue
            for char in piece:
                if char not in SPACES:
                    current += char
                elif current:
                    words.append(current)
                    current = ""
        return [*words, current] if current else words

    def _pieces(self, text: str, env: Mapping[str, str]) -> list[_Piece]:
        try:
            return _Scan(self, text, env).until("", keep_escapes=self.keep_escapes)
        except ExpansionError as error:
            raise ExpansionError(f"failed to process {quoted(text)}: {error.message}") from None


_DEEPEST = 50  # substitutions in substitutions

_Piece = tuple[str, bool]  # a part of the result, and whether its spaces split words


class _Scan:
    """One pass over one text."""

    def __init__(self, lexer: Lexer, text: str, env: Mapping[str, str]) -> None:
        self.lexer = lexer
        self.text = text
        self.env = env
        self.at = 0
        self.keep_escapes = lexer.keep_escapes
        self.depth = 0

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def until(self, stop: str, *, keep_escapes: bool) -> list[_Piece]:
        """Read up to and with `stop`, or to the end where `stop` is empty."""
        outer, self.keep_escapes = self.keep_escapes, keep_escapes
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ExpansionError("nested too deeply")
        try:
            return self._until(stop)
        finally:
            self.keep_escapes = outer
            self.depth -= 1

    def _until(self, stop: str) -> list[_Piece]:
        pieces: list[_Piece] = []
        while char := self.peek():
            if char == stop:
                self.next()
                return pieces
            pieces.append(self._piece(char))
        if stop:
            raise ExpansionError(f"unexpected end of statement while looking for matching {stop}")
        return pieces

    def _piece(self, char: str) -> _Piece:
        if char == "$":
            return self._variable(), True
        if char == "<":
            return self._angle(), False
        if char == "'" and not self.lexer.quotes_are_text:
            return self._single_quotes(), False
        if char == '"' and not self.lexer.quotes_are_text:
            return self._double_quotes(), False
        if self.next() == self.lexer.escape:
            return (char if self.keep_escapes else "") + self.next(), False
        return char, True

    def _angle(self) -> str:
        """`<<` with the blanks behind it, so that `<< EOF` stays one word."""
        self.next()
        if self.peek() != "<":
            return "<"
        self.next()
        start = self.at
        while self.peek() and self.peek() in "\t\r ":
            self.next()
        return "<<" + self.text[start : self.at]

    def _single_quotes(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise ExpansionError(
                "unexpected end of statement while looking for matching single-quote"
            )
        body = self.text[self.at + 1 : end]
        self.at = end + 1
        return f"'{body}'" if self.lexer.keep_quotes else body

    def _double_quotes(self) -> str:
        self.next()
        out: list[str] = []
        while (char := self.peek()) != '"':
            if not char:
                raise ExpansionError(
                    "unexpected end of statement while looking for matching double-quote"
                )
            out.append(self._variable() if char == "$" else self._in_double_quotes())
        self.next()
        body = "".join(out)
        return f'"{body}"' if self.lexer.keep_quotes else body

    def _in_double_quotes(self) -> str:
        char = self.next()
        if char != self.lexer.escape:
            return char
        kept = char if self.keep_escapes else ""
        following = self.peek()
        if not following:
            return kept
        if following in ('"', "$", self.lexer.escape):
            return kept + self.next()
        return kept + char

    def _variable(self) -> str:
        self.next()
        if self.peek() != "{":
            name = self._name()
            if not name:
                return "$"
            return self._value(name, otherwise=f"${name}")
        self.next()
        if not self.peek():
            raise ExpansionError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise ExpansionError("syntax error: bad substitution")
        return self._braced(self._name())

    def _name(self) -> str:
        start = self.at
        first = self.peek()
        if first and first in _SPECIAL_PARAMETERS:
            return self.next()
        accepts = str.isdecimal if first.isdecimal() else is_name_character
        while self.peek() and accepts(self.peek()):
            self.next()
        return self.text[start : self.at]

    def _value(self, name: str, *, otherwise: str) -> str:
        if self.lexer.no_unset and not self.env.get(name):
            raise UnboundVariable(f"{name}: unbound variable")
        if name in self.env:
            return self.env[name]
        return otherwise if self.lexer.keep_unset else ""

    def _braced(self, name: str) -> str:
        operator = self.next()
        if not operator:
            raise ExpansionError("syntax error: missing '}'")
        if operator == "}":
            return self._value(name, otherwise=f"${{{name}}}")
        if operator == "/":
            return self._replacement(name)
        if operator == ":":
            operator += self.next()
        if operator[-1:] not in ("+", "-", "?", "#", "%") or operator in (":#", ":%"):
            raise ExpansionError(f"unsupported modifier ({operator}) in substitution")
        word = self._operand("}", keep_escapes=operator in "#%")
        if self.lexer.keep_unset and name not in self.env:
            return f"${{{name}{operator}{word}}}"
        return self._modified(name, operator, word)

    def _operand(self, stop: str, *, keep_escapes: bool) -> str:
        try:
            pieces = self.until(stop, keep_escapes=keep_escapes)
        except ExpansionError:
            if self.peek():
                raise
            where = "'}'" if stop == "}" else "'/' in ${}"
            raise ExpansionError(f"syntax error: missing {where}") from None
        return "".join(piece for piece, _ in pieces)

    def _modified(self, name: str, operator: str, word: str) -> str:
        value = self.env.get(name)
        null = value is None or (operator[0] == ":" and not value)
        text = value or ""
        if operator[-1] == "-":
            return word if null else text
        if operator[-1] == "+":
            return "" if null else word
        if operator[-1] == "?":
            if null:
                reason = "unset" if value is None else "empty"
                raise ExpansionError(f"{name}: {word or f'is not allowed to be {reason}'}")
            return text
        longest = word[:1] == operator
        remove = remove_prefix if operator == "#" else remove_suffix
        return remove(text, word[1:] if longest else word, longest=longest)

    def _replacement(self, name: str) -> str:
        everywhere = self.peek() == "/"
        if everywhere:
            self.next()
        pattern = self._operand("/", keep_escapes=True)
        text = self._operand("}", keep_escapes=True)
        if self.lexer.keep_unset and name not in self.env:
            return f"${{{name}/{pattern}/{text}}}"
        return replace(self.env.get(name, ""), pattern, text, everywhere=everywhere)
