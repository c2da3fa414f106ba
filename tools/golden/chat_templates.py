"""What transformers makes of prompts put through chat templates, with the small tokenizers of `tokenizer_types.py`.

    python tools/golden/chat_templates.py

Templates as their models have them (the conditions about tools left out): SmolLM2 and Llama 3 on byte-level BPE, Gemma and
Mistral on SentencePiece-style BPE, and one that asks for the date and for thinking as newer models do. For each prompt the
tokens up to where the answer begins, and the tokens of the same with the answer "Paris".
"""

from datetime import datetime

import transformers.utils.chat_template_utils as chat_template_utils
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from golden_file import GOLDEN, write

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
    "message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)
DATED = """{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- set ns = namespace(count=messages | length) -%}
<|im_start|>system
Today: {{ date_string }}{% if tools %}, tools{% endif %}{% if ns.count > 0 %}, some{% endif %}<|im_end|>
{% for message in messages %}
    {%- if message.role == "user" %}
        {{- '<|im_start|>' + message.role + '\n' + message.content.strip() + '<|im_end|>' + '\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n<think>\n\n</think>\n\n' + message.content.lstrip('\n') + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"""

# Name, tokenizer, template, special tokens it names, begin and end of a text.
CASES = [
    ("smollm2", "byte-level", SMOLLM2, ["<|im_start|>", "<|im_end|>"], "<|im_start|>", "<|im_end|>"),
    ("llama3", "byte-level", LLAMA3, ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
     "<|begin_of_text|>", "<|end_of_text|>"),
    ("gemma", "gemma", GEMMA, ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"], "<bos>", "<eos>"),
    ("mistral", "llama", MISTRAL, [], "<s>", "</s>"),
    ("mistral-legacy", "llama-legacy", MISTRAL, [], "<s>", "</s>"),
    ("dated", "byte-level", DATED, ["<|im_start|>", "<|im_end|>"], "<|im_start|>", "<|im_end|>"),
]
PROMPTS = ["The capital of France is", "서울은 수도", "😀 e\u0301?", "two\n\nlines {{ bos_token }} {% if %}", "  spaced  ", "1945"]
ANSWER = "Paris"


class July(datetime):
    """The date of Llama 3's own examples."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def main():
    chat_template_utils.datetime = July
    body = {}
    for name, kind, template, special, begin, end in CASES:
        tokenizer = Tokenizer.from_file(str(GOLDEN / "tokenizers" / f"{kind}.json"))
        tokenizer.add_special_tokens(special)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template, bos_token=begin, eos_token=end)

        def ids_of(messages, opens):
            text = fast.apply_chat_template(messages, add_generation_prompt=opens, enable_thinking=False, tokenize=False)
            return text, fast(text, add_special_tokens=False)["input_ids"]

        rows = []
        for prompt in PROMPTS:
            turn = {"role": "user", "content": prompt}
            rendered, ids = ids_of([turn], True)
            rows.append({"prompt": prompt, "rendered": rendered, "ids": ids,
                         "answered": ids_of([turn, {"role": "assistant", "content": ANSWER}], False)[1]})
        body[name] = {
            "tokenizer": kind, "template": template, "tokens": {"bos_token": begin, "eos_token": end},
            "added": [{"id": tokenizer.token_to_id(token), "content": token} for token in special],
            "end": tokenizer.token_to_id(end), "rows": rows,
        }
    write("chat-templates", "chat_templates.py", 0, body)


if __name__ == "__main__":
    main()
