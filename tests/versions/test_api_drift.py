"""What our calls need of other packages, besides being importable: names of arguments, attributes, words of messages.

Many are swallowed by `**kwargs`, private, or looked for in a text, so that a new version can lose them unnoticed. The
table is run against the oldest and the newest versions that pyproject.toml admits: `make drift`.
"""

import importlib
import inspect
import os
from importlib.metadata import version

import pytest

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

# helpers.finetune: what every trainer's configuration is given.
TRAINING = """output_dir per_device_train_batch_size gradient_accumulation_steps num_train_epochs learning_rate
    lr_scheduler_type optim max_grad_norm seed train_sampling_strategy bf16 gradient_checkpointing use_cpu
    dataloader_pin_memory remove_unused_columns logging_strategy save_strategy report_to disable_tqdm"""
TRAINER = "model args train_dataset processing_class"

# A callable and the arguments that it is given by name.
ARGUMENTS = {
    "accelerate.utils:find_executable_batch_size": "function starting_batch_size reduce_batch_size_fn",
    "datasets:load_dataset": "path name split revision",
    "huggingface_hub:HfApi.model_info": "repo_id revision timeout",
    "huggingface_hub:hf_hub_download": "repo_id filename revision",
    "joblib:parallel_config": "backend n_jobs",
    "peft:LoraConfig": "task_type target_modules r lora_alpha lora_dropout",
    "peft:get_peft_model": "model peft_config",
    "peft:prepare_model_for_kbit_training": "model use_gradient_checkpointing",
    "plotly.io:to_html": """config include_plotlyjs include_mathjax full_html default_height div_id validate""",
    "scipy.stats:bootstrap": "data statistic axis confidence_level method random_state",
    "transformers:BitsAndBytesConfig": """load_in_4bit bnb_4bit_quant_type bnb_4bit_use_double_quant
        bnb_4bit_compute_dtype""",
    "transformers:PreTrainedModel._from_config": "dtype attn_implementation",
    "transformers:PreTrainedModel.from_pretrained": """revision dtype device_map quantization_config use_safetensors
        trust_remote_code attn_implementation""",
    "transformers:PreTrainedModel.num_parameters": "only_trainable",
    "transformers:PreTrainedTokenizerBase.from_pretrained": "revision",
    "transformers:Trainer.compute_loss": "model inputs return_outputs num_items_in_batch",
    "transformers:Trainer.train": "resume_from_checkpoint",
    "transformers:Trainer.training_step": "model inputs num_items_in_batch",
    "transformers:TrainingArguments": "max_steps adam_beta2 weight_decay logging_steps save_steps save_total_limit",
    "trl:DPOConfig": f"{TRAINING} max_length",
    "trl:DPOTrainer": f"{TRAINER} ref_model",
    "trl:KTOConfig": f"{TRAINING} max_length",
    "trl:KTOTrainer": f"{TRAINER} ref_model",
    "trl:RLOOConfig": f"""{TRAINING} num_generations steps_per_generation max_completion_length shuffle_dataset
        beta""",
    "trl:RLOOTrainer": f"{TRAINER} reward_funcs",
    "trl:RLOOTrainer._tokenize_prompts": "prompts",
    "trl:SFTConfig": f"{TRAINING} max_length",
    "trl:SFTTrainer": TRAINER,
    "trl.experimental.cpo:CPOConfig": f"{TRAINING} loss_type cpo_alpha beta simpo_gamma max_length",
    "trl.experimental.cpo:CPOTrainer": TRAINER,
    "trl.experimental.cpo:CPOTrainer.tokenize_row": "model",
}
# An object, or a module, and attributes that are called, overridden or caught.
ATTRIBUTES = {
    "accelerate:Accelerator": "free_memory reduce",
    "accelerate.utils.memory:": "should_reduce_batch_size",
    "constriction:": "stream.queue.RangeDecoder stream.queue.RangeEncoder",
    "datasets:": "Dataset.from_list concatenate_datasets disable_progress_bars",
    "huggingface_hub.errors:": """EntryNotFoundError GatedRepoError HfHubHTTPError LocalEntryNotFoundError
        RepositoryNotFoundError RevisionNotFoundError""",
    "plotly.io:": "templates",
    "safetensors:": "SafetensorError",
    "torch.utils._python_dispatch:": "TorchDispatchMode",
    "torch.utils._pytree:": "tree_leaves",
    "torch.utils.weak:": "WeakIdKeyDictionary",
    "transformers:": "GPTNeoXConfig PreTrainedTokenizerFast PrinterCallback Qwen2Config TrainerCallback set_seed",
    "transformers:Trainer": """create_optimizer create_scheduler remove_callback _get_train_sampler
        _load_from_checkpoint""",
    "transformers.training_args:": "OptimizerNames",
    "transformers.utils.logging:": "disable_progress_bar enable_progress_bar",
    "trl:DPOTrainer": "_prepare_dataset",
    "trl:KTOTrainer": "_prepare_dataset",
    "trl.trainer.utils:": "disable_dropout_in_model",
}
# Modules and the words in their sources by which we know an error (helpers.models, helpers.finetune).
WORDS = {
    "accelerate.utils.memory:": "reached zero",
    "transformers.dynamic_module_utils:": "contains custom code",
    "transformers.models.auto.configuration_auto:": "does not recognize this architecture",
}


def find(path):
    """The object, and who is to blame for what it lacks."""
    module, _, name = path.partition(":")
    package = module.partition(".")[0]
    blame = f"{package} {version(package)}: {path.strip(':')}"
    try:
        found = importlib.import_module(module)
        for part in filter(None, name.split(".")):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{blame} is not there: {error}")
    return found, blame


def has(thing, path):
    for name in path.split("."):
        if not hasattr(thing, name):
            return False
        thing = getattr(thing, name)
    return True


def takes(call, name):
    """Whether the argument is declared, or at least named where the rest of the arguments is looked through."""
    parameters = inspect.signature(call).parameters
    rest = any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values())
    return name in parameters or (rest and f'"{name}"' in inspect.getsource(call))


@pytest.mark.parametrize("path", ARGUMENTS)
def test_arguments(path):
    call, blame = find(path)
    missing = [name for name in ARGUMENTS[path].split() if not takes(call, name)]
    assert not missing, f"{blame} takes no {', '.join(missing)}"


@pytest.mark.parametrize("path", ATTRIBUTES)
def test_attributes(path):
    thing, blame = find(path)
    missing = [name for name in ATTRIBUTES[path].split() if not has(thing, name)]
    assert not missing, f"{blame} has no {', '.join(missing)}"


@pytest.mark.parametrize("path", WORDS)
def test_words(path):
    module, blame = find(path)
    assert WORDS[path] in inspect.getsource(module), f"{blame} no longer says {WORDS[path]!r}"
